"""The options of all commands."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, NoReturn

from .._names import did_you_mean
from ..data.interactions import DUPLICATES
from ..data.protocols import PROTOCOLS
from .output import FORMATS


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, with names that are close to a mistyped one."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line and leave with code 2."""
        wrong = re.search(r"invalid choice: '?([^' ]*)'? \(choose from (.*)\)", message, re.DOTALL)
        if wrong:
            message += did_you_mean(wrong.group(1), re.findall(r"[\w.-]+", wrong.group(2)))
        sys.stderr.write(f"{self.prog}: {message}; see {self.prog} --help\n")
        raise SystemExit(2)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As usual, but an unknown option is met with one that is close."""
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            command: Any = found.parser
            options = [name for action in command._actions for name in action.option_strings]
            name = unknown[0].split("=")[0]
            what = "option" if name.startswith("-") else "argument"
            command.error(f"unknown {what} {name!r}{did_you_mean(name, options)}")
        return found


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = Parser(
        prog="fastlae",
        description="Linear autoencoders for recommendation from implicit feedback.",
        epilog="""examples:
  fastlae evaluate ratings.csv --min-rating 4 --min-user-items 5
  fastlae fit ratings.csv --min-rating 4 --output model.safetensors
  fastlae recommend model.safetensors --users 15 73 --names movies.csv
  fastlae explain model.safetensors --user 15 --item 593 --names movies.csv

`fastlae COMMAND --help` has more.""",
    )
    top.add_argument("--version", action="version", version=f"fastlae {version('fastlae')}")
    top.set_defaults(parser=top)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, summary: str, description: str, *examples: str) -> Parser:
        epilog = "examples:\n" + "\n".join(f"  {example}" for example in examples) if examples else None
        made: Parser = commands.add_parser(name, help=summary, description=description, epilog=epilog)
        made.set_defaults(parser=made)
        return made

    one = command(
        "fit",
        "learn a model from a file of interactions",
        "Learn a model from a CSV, TSV or Parquet file of interactions, and write it to a file.",
        "fastlae fit ratings.csv --min-rating 4 --output model.safetensors",
        "fastlae fit plays.tsv --model EDLAE --l2 300 --dropout 0.5 --user-power 0.5 --output model.safetensors",
        "fastlae fit log.parquet --user customer --item article --set form=users --output model.safetensors",
    )
    one.add_argument("data", metavar="FILE", help="interactions: CSV, TSV or Parquet")
    one.add_argument("--model", default="EASE", metavar="NAME", help="EASE (default), LAE, DLAE, EDLAE, DEQL, ...")
    one.add_argument("-o", "--output", required=True, metavar="FILE", help="where the model goes")
    one.add_argument("--force", action="store_true", help="overwrite what is there")
    one.add_argument("--sparsify", type=int, metavar="K", help="keep the K largest weights an item only")
    one.add_argument("--without-users", action="store_true", help="leave users and their items out of the file")
    _hyperparameters(one)
    _reading(one)

    one = command(
        "recommend",
        "the best items for users",
        "Recommend to users of the training by id, or to those of another file.",
        "fastlae recommend model.safetensors --users 15 73 --names movies.csv",
        "fastlae recommend model.safetensors -k 20 --output top20.parquet",
        "fastlae recommend model.safetensors --data new_users.csv --format json | head",
    )
    _model_file(one)
    one.add_argument("--users", nargs="+", metavar="ID", help="these users (default: all)")
    one.add_argument("--data", metavar="FILE", help="interactions of other users (default: those of the training)")
    one.add_argument("--items", nargs="+", metavar="ITEM", help="recommend only these, by id or name")
    one.add_argument("--forbid", nargs="+", metavar="ITEM", help="never recommend these, by id or name")
    one.add_argument("--include-seen", action="store_true", help="recommend what users have, too")
    one.add_argument("-k", type=int, default=10, help="items per user (default 10)")
    _names(one)
    _output(one)
    _reading(one)

    one = command(
        "explain",
        "why an item is recommended to a user",
        "Which of a user's items speak for an item, largest contribution first; all of them add up to its score.",
        "fastlae explain model.safetensors --user 15 --item 593 --names movies.csv",
        "fastlae explain model.safetensors --user 15 --item 'Fargo (1996)' --names movies.csv",
    )
    _model_file(one)
    one.add_argument("--user", dest="user_id", required=True, metavar="ID", help="whose recommendation")
    one.add_argument("--item", dest="item_id", required=True, metavar="ITEM", help="which item, by id or name")
    one.add_argument("--data", metavar="FILE", help="interactions of other users (default: those of the training)")
    one.add_argument("-k", type=int, default=10, help="at most so many reasons (default 10)")
    _names(one)
    _output(one)
    _reading(one, columns=False)

    one = command(
        "similar",
        "items that go with an item",
        "The items that a model recommends most to somebody who has an item.",
        "fastlae similar model.safetensors 1 --names movies.csv",
        "fastlae similar model.safetensors 'Toy Story (1995)' --names movies.csv -k 5",
    )
    _model_file(one)
    one.add_argument("items", nargs="+", metavar="ITEM", help="by id or name")
    one.add_argument("-k", type=int, default=10, help="items (default 10)")
    _names(one)
    _output(one)

    one = command(
        "evaluate",
        "how good models are on held-out interactions",
        "Split a file, fit models on the training part and measure them on the test part.\n"
        "Hyperparameters that are not given are chosen on the validation part.",
        "fastlae evaluate ratings.csv --min-rating 4 --min-user-items 5",
        "fastlae evaluate ratings.csv --model EASE --l2 300 --protocol weak -k 10 20",
        "fastlae evaluate ratings.csv --protocol by_time --output result.csv",
        "fastlae evaluate ratings.csv --min-rating 4 --report report.html --names movies.csv",
        "fastlae evaluate ml-1m --model EASE --l2 300   (a folder with train.npz and test.npz, or a saved split)",
    )
    one.add_argument("data", metavar="FILE", help="interactions: CSV, TSV or Parquet; or a split, saved or published")
    one.add_argument("--model", action="append", metavar="NAME", help="may be repeated (default: four of them)")
    one.add_argument("-k", type=int, nargs="+", default=[20, 50, 100], help="lengths of lists (default 20 50 100)")
    one.add_argument("--metrics", default="recall,ndcg", metavar="NAMES", help="with commas (default recall,ndcg)")
    one.add_argument("--no-tuning", action="store_true", help="take the models' defaults for what is not given")
    one.add_argument("--sparsify", type=int, nargs="+", metavar="K", help="also with the K largest weights an item")
    one.add_argument("--report", metavar="FILE", help="write a page with plots (HTML) there, too")
    one.add_argument("--save-split", metavar="PATH", help="write the split there, to a folder or a file *.npz "
                     "(default: beside --output or --report)")  # fmt: skip
    _hyperparameters(one)
    _splitting(one)
    _names(one)
    _output(one)
    _reading(one)

    one = command(
        "sweep",
        "a grid of hyperparameters, measured on validation data",
        "Try every combination; a matrix is inverted once per ridge, dropout and user power.",
        "fastlae sweep ratings.csv --min-rating 4 --model EASE --ridge 50 100 200 400",
        "fastlae sweep ratings.csv --min-rating 4 --output sweep.csv --save-model best.safetensors",
        "fastlae sweep ratings.csv --min-rating 4 --checkpoint points.jsonl --plot sweep.png",
    )
    one.add_argument("data", metavar="FILE", help="interactions: CSV, TSV or Parquet; or a split, saved or published")
    one.add_argument("--model", action="append", metavar="NAME", help="may be repeated (default EASE, EDLAE, DEQL)")
    for name, what in (("ridge", "l2, before the scaling of DEQL"), ("dropout", ""), ("b", ""), ("user_power", "")):
        one.add_argument(
            f"--{name.replace('_', '-')}", type=float, nargs="+", metavar="X", help=what or "values to try"
        )
    one.add_argument("--metric", default="ndcg", metavar="NAME", help="what is best (default ndcg)")
    one.add_argument("-k", type=int, default=20, help="length of lists (default 20)")
    one.add_argument("--plot", metavar="FILE", help="a heat map per model, the best point marked: .png, .svg or .pdf")
    one.add_argument("--checkpoint", metavar="FILE", help="keep points there as they are measured, and go on from them")
    one.add_argument("--save-model", metavar="FILE", help="fit the best point on everything, and write it there")
    one.add_argument("--threads", type=int, default=0, metavar="N", help="threads to use (default: all)")
    _splitting(one)
    _output(one)
    _reading(one)

    command("info", "what this machine has and what fastlae uses of it", "Processor, threads, memory, libraries.")
    one = command(
        "demo",
        "fit, evaluate, recommend, save and reload, on made-up or your own data",
        "Without options: on an embedded, generated data set with planted taste groups.",
        "fastlae demo --data ml-1m   (a folder with train.npz and test.npz)",
    )
    one.add_argument(
        "--data", metavar="FOLDER", help="folder with train.npz and test.npz (scipy sparse, users x items)"
    )
    one.add_argument("--seed", type=int, default=0, help="of the generated data and its split (default 0)")
    one.add_argument("--report", metavar="FILE", help="write a page with plots (HTML) there, replacing what is there")
    one.add_argument("--threads", type=int, default=0, help="threads to use (default: all)")
    for made in commands.choices.values():
        if made.prog.split()[-1] != "info":
            made.add_argument("--progress", choices=("auto", "on", "off"), default="auto",
                              help="a bar for what takes more than two seconds (auto: on a terminal)")  # fmt: skip
    return top


def _model_file(one: Parser) -> None:
    one.add_argument("model_file", metavar="MODEL", help="a file that `fastlae fit` wrote")


def _names(one: Parser) -> None:
    one.add_argument("--names", metavar="FILE", help="names of items: CSV, TSV or Parquet, such as movies.csv")
    one.add_argument("--name-id", metavar="COLUMN", help="its column of ids (default: by the usual names)")
    one.add_argument("--name-column", metavar="COLUMN", help="its column of names (default: title, name, ...)")


def _output(one: Parser) -> None:
    one.add_argument("-o", "--output", metavar="FILE", help="write there instead of printing")
    one.add_argument("--format", choices=FORMATS, help="default: table, or by the ending of the output's name")
    one.add_argument("--force", action="store_true", help="overwrite what is there")


def _reading(one: Parser, *, columns: bool = True) -> None:
    group = one.add_argument_group("reading interactions")
    for role in ("user", "item", "rating", "timestamp"):
        option = f"--{role}" if columns else f"--{role}-column"
        group.add_argument(
            option, dest=role, metavar="COLUMN", help="default: by the usual names" if role != "user" else
            "name of a column, or with --no-header its number from 1 (default: by the usual names)"
        )  # fmt: skip
    group.add_argument("--delimiter", metavar="C", help="between columns (default: by the first line)")
    group.add_argument("--no-header", action="store_true", help="the first line is an interaction already")
    group.add_argument("--id-type", choices=("auto", "int", "str"), default="auto", help="of ids (default auto)")
    group.add_argument("--min-rating", type=float, metavar="X", help="keep interactions rated at least so")
    group.add_argument("--min-user-items", type=int, default=1, metavar="N", help="keep users with so many items")
    group.add_argument("--min-item-users", type=int, default=1, metavar="N", help="keep items with so many users")
    group.add_argument("--duplicates", choices=DUPLICATES, default="last", help="what stays of them (default last)")
    group.add_argument("--keep-ratings", action="store_true", help="learn from ratings or counts instead of ones")


def _hyperparameters(one: Parser) -> None:
    group = one.add_argument_group("hyperparameters")
    for name, what in (
        ("l2", "strength of the penalty"),
        ("dropout", "share of dropped entries"),
        ("b", "weight of kept entries (DEQL)"),
        ("user-power", "how much less very active users weigh"),
    ):
        group.add_argument(f"--{name}", dest=f"model_{name.replace('-', '_')}", type=float, metavar="X", help=what)
    group.add_argument("--set", action="append", metavar="NAME=VALUE", help="any other; may be repeated")
    group.add_argument("--threads", type=int, default=0, metavar="N", help="threads to use (default: all)")


def _splitting(one: Parser) -> None:
    group = one.add_argument_group("splitting")
    group.add_argument("--protocol", choices=PROTOCOLS, default="strong", help="default: strong generalization")
    group.add_argument("--seed", type=int, default=0, help="of the split (default 0)")
    group.add_argument("--test", type=_share, metavar="X", help="share of users (strong) or of items (weak) held out")
    group.add_argument("--validation", type=_share, metavar="X", help="share held out to choose hyperparameters by")


def _share(text: str) -> float | int:
    number = float(text)
    return int(number) if number.is_integer() and "." not in text else number


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Options from arguments."""
    return parser().parse_args(arguments)
