"""Interactions: what is read from where, ids both ways, filters, duplicates, and every kind of bad input."""

from __future__ import annotations

import pickle
import subprocess
import sys
import uuid

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

import fastlae
from fastlae import DataError, Interactions, UnknownIdError

ROWS = [("b", 20, 3.0, 9), ("a", 10, 5.0, 8), ("b", 10, 4.0, 7), ("c", 30, 1.0, 6)]
NAMES = ("user_id", "item_id", "rating", "timestamp")


def dense(X):
    return {(u, i): v for u, i, v in zip(*(X.to_arrays()[n].tolist() for n in ("user", "item", "value")), strict=True)}


def csv_file(tmp_path, rows=ROWS, names=NAMES, sep=",", ending="csv"):
    path = tmp_path / f"ratings.{ending}"
    path.write_text("\n".join(sep.join(map(str, row)) for row in [names, *rows]) + "\n")
    return path


def test_arrays():
    users, items, ratings, times = zip(*ROWS, strict=True)
    X = Interactions(users, items, ratings, times, binary=False)
    assert dense(X) == {("a", 10): 5, ("b", 10): 4, ("b", 20): 3, ("c", 30): 1}
    assert X.user_ids.tolist() == ["a", "b", "c"]
    assert X.item_ids.tolist() == [10, 20, 30]
    assert X.timestamps.tolist() == [8, 7, 9, 6]
    assert X.matrix.dtype == np.float32
    assert X.matrix.has_canonical_format
    assert X.shape == (3, 3)
    assert len(X) == X.nnz == 4
    assert repr(X) == "<Interactions: 3 users x 3 items, 4 interactions, 1970-01-01 to 1970-01-01>"
    assert X.equals(pickle.loads(pickle.dumps(X)))
    assert not X.equals(Interactions(users, items))
    assert not X.equals(X.matrix)


@pytest.mark.parametrize(("sep", "ending"), [(",", "csv"), ("\t", "tsv"), (";", "csv"), ("|", "txt"), ("\t", "inter")])
def test_text_files(tmp_path, sep, ending):
    pytest.importorskip("pyarrow")
    users, items, ratings, times = zip(*ROWS, strict=True)
    expected = Interactions(users, items, ratings, times, binary=False)
    path = csv_file(tmp_path, sep=sep, ending=ending)
    assert Interactions.from_csv(path, binary=False).equals(expected)
    assert Interactions.read(path, binary=False).equals(expected)


def test_columns_by_name_number_and_without_header(tmp_path):
    pytest.importorskip("pyarrow")
    path = csv_file(tmp_path, names=("when", "what", "stars here", "who"), rows=[(u, i, r, t) for t, i, r, u in ROWS])
    X = Interactions.from_csv(path, user="who", item=1, rating="stars here", timestamp=False, binary=False)
    assert dense(X)["a", 10] == 5
    assert X.timestamps is None
    bare = tmp_path / "bare.csv"
    bare.write_text("7,1,4\n8,2,5\n")
    assert Interactions.from_csv(bare, header=False, min_rating=5).user_ids.tolist() == [8]
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("7,1\n8,2\n")
    assert Interactions.from_csv(pairs, header=False).shape == (2, 2)
    assert Interactions.from_csv(bare, header=False, user=1, item=0, rating=False).user_ids.tolist() == [1, 2]


def test_compressed_and_quoted(tmp_path):
    pytest.importorskip("pyarrow")
    import gzip

    text = '\ufeff"userId","movieId"\n"ann, the first",1\n"bob",2\n'
    (tmp_path / "r.csv.gz").write_bytes(gzip.compress(text.encode()))
    assert Interactions.read(tmp_path / "r.csv.gz").user_ids.tolist() == ["ann, the first", "bob"]


def test_dates_are_seconds(tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "r.csv"
    path.write_text("user,item,date\n1,1,1970-01-02 00:00:10\n2,2,2000-01-01 00:00:00\n")
    assert Interactions.from_csv(path).timestamps.tolist() == [86410, 946684800]


def test_parquet_and_frames(tmp_path):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    pytest.importorskip("narwhals")
    users, items, ratings, times = zip(*ROWS, strict=True)
    expected = Interactions(users, items, ratings, times, binary=False)
    table = pa.table(dict(zip(NAMES, zip(*ROWS, strict=True), strict=True)))
    parquet.write_table(table, tmp_path / "r.parquet")
    assert Interactions.read(tmp_path / "r.parquet", binary=False).equals(expected)
    frames = [table]
    try:
        import pandas as pd

        frames += [pd.DataFrame(table.to_pydict())]
        frames += [frames[-1].astype({"user_id": "category"})]
    except ImportError:
        pass
    try:
        import polars as pl

        frames += [pl.DataFrame(table.to_pydict()), pl.DataFrame(table.to_pydict()).lazy()]
    except ImportError:
        pass
    for frame in frames:
        assert Interactions.from_frame(frame, binary=False).equals(expected)
    text = pa.table({"user": ["1", "2"], "item": [3, 4]})
    assert Interactions.from_frame(text).user_ids.tolist() == ["1", "2"]
    assert Interactions.from_frame(text, id_type="int").user_ids.tolist() == [1, 2]
    assert Interactions.from_frame(text, id_type="str").item_ids.tolist() == ["3", "4"]


def test_matrix():
    X = sp.csr_matrix([[2, 0, 0], [0, 0, 0]])
    made = Interactions.from_matrix(X, item_ids=["z", "y", "x"])
    assert made.shape == (2, 3)
    assert dense(made) == {(0, "z"): 2}
    assert made.item_positions(["x", "z"]).tolist() == [2, 0]
    assert Interactions.from_matrix(X, min_user_items=1, min_item_users=1).shape == (1, 1)
    with pytest.raises(DataError, match="item_ids: expected 3 ids"):
        Interactions.from_matrix(X, item_ids=[1])
    with pytest.raises(DataError, match="distinct"):
        Interactions.from_matrix(X, item_ids=["z", "y", "z"])


def test_other_hashables():
    one, two = uuid.UUID(int=5), uuid.UUID(int=3)
    X = Interactions([(1, "x"), (0, "y"), (1, "x")], [one, two, two])
    assert X.user_ids.tolist() == [(1, "x"), (0, "y")]
    assert X.user_positions((0, "y")).tolist() == [1]
    assert X.item_positions([two]).tolist() == [1]
    with pytest.raises(UnknownIdError, match=r"unknown user \(2, 'z'\)"):
        X.user_positions([(2, "z")])


@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(0, 6), st.integers(0, 9), st.integers(0, 3)), min_size=1))
def test_against_a_dictionary(rows):
    users, items, ratings, times = (np.array(c) for c in zip(*rows, strict=True))
    for how in ("last", "first", "sum"):
        expected: dict = {}
        order = range(len(rows)) if how == "sum" else np.lexsort((np.arange(len(rows)), times))
        for at in order:
            key = users[at], items[at]
            if how == "sum":
                expected[key] = expected.get(key, 0) + ratings[at]
            elif how == "last" or key not in expected:
                expected[key] = ratings[at]
        expected = {key: value for key, value in expected.items() if value >= 4}
        if not expected:
            with pytest.raises(DataError, match="no interaction is left with min_rating=4"):
                Interactions(users, items, ratings, times, duplicates=how, min_rating=4)
            continue
        X = Interactions(users, items, ratings, times, duplicates=how, min_rating=4, binary=False)
        assert dense(X) == expected
        assert X.n_duplicates == len(rows) - len(set(zip(users.tolist(), items.tolist(), strict=True)))
        assert dense(Interactions(users, items, ratings, times, duplicates=how, min_rating=4)) == dict.fromkeys(
            expected, 1.0
        )


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=1, max_size=60), st.integers(1, 4))
def test_minimum_counts_hold_together(pairs, least):
    kept = set(pairs)
    while True:
        users = [u for u, _ in kept]
        items = [i for _, i in kept]
        smaller = {(u, i) for u, i in kept if users.count(u) >= least and items.count(i) >= 2}
        if smaller == kept:
            break
        kept = smaller
    users, items = zip(*pairs, strict=True)
    if not kept:
        with pytest.raises(DataError, match="no interaction is left"):
            Interactions(users, items, min_user_items=least, min_item_users=2)
    else:
        assert set(dense(Interactions(users, items, min_user_items=least, min_item_users=2))) == kept


def test_counting():
    X = Interactions([1, 1, 1, 2], [5, 5, 6, 5], duplicates="sum", binary=False)
    assert dense(X) == {(1, 5): 2, (1, 6): 1, (2, 5): 1}
    assert dense(Interactions([1, 1, 1, 2], [5, 5, 6, 5], duplicates="sum", min_rating=2)) == {(1, 5): 1}
    with pytest.raises(DataError, match="user 1 has item 5 more than once"):
        Interactions([1, 1, 1, 2], [5, 5, 6, 5], duplicates="error")


def test_select_and_align():
    X = Interactions(["a", "a", "b", "c"], [1, 2, 2, 3], timestamps=[4, 5, 6, 7])
    assert dense(X.select(["c", "a"])) == {("c", 3): 1, ("a", 1): 1, ("a", 2): 1}
    moved = X.align([3, 9, 1], ["c", "x", "a"])
    assert moved.matrix.toarray().tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 1]]
    assert moved.timestamps.tolist() == [7, 4]
    assert X.align([8, 9]).nnz == 0
    with pytest.raises(DataError, match="none of the 3 items"):
        X.align(["1", "2"])
    with pytest.raises(DataError, match="none of the 10 items"):
        Interactions(["a"] * 10, range(10)).align([10, 11])
    with pytest.raises(DataError, match="none of the 1 users"):
        X.align([1], ["z"])


def test_unknown_ids_are_named():
    words = Interactions(["anna", "bob", "cyd"], [123, 456, 789])
    with pytest.raises(UnknownIdError, match=r"unknown user 'ana'; did you mean 'anna'\?"):
        words.user_positions(["bob", "ana"])
    with pytest.raises(UnknownIdError, match=r"unknown item 124; did you mean 123\?"):
        words.item_positions(124)
    with pytest.raises(UnknownIdError, match=r"unknown item 5000000 \(and 1 more\)$"):
        words.item_positions([5_000_000, 6_000_000])
    with pytest.raises(UnknownIdError, match=r"there is 123, which differs by its type alone"):
        words.item_positions("123")
    with pytest.raises(UnknownIdError, match="the ids are strings, got int"):
        words.user_positions(4)
    many = Interactions([f"user{i}" for i in range(30_000)], np.arange(30_000))
    with pytest.raises(UnknownIdError, match="did you mean"):
        many.user_positions("user2999x")


@pytest.mark.parametrize(
    ("users", "message"),
    [
        (["a", 1], "mixed types: str .*'a'.* and int"),
        ([1, "1"], "1 and '1' differ by their type alone"),
        (np.array(["a", 1], object), "mixed types"),
        (["a", None], "missing id at position 1"),
        ([None, None], "missing id at position 0"),
        (["a", ""], "empty id at position 1"),
        ([1.0, 2.0], "got float"),
        (np.array([1.0, 2.0]), "got float64; missing values turn integers into floats"),
        ([True, False], "got bool"),
        ([[1], [2]], "hashable ids, got list"),
        (np.ones((2, 2), int), "expected a vector of ids"),
        ([1], "columns of one length, got users 1, items 2"),
        ([], "columns of one length"),
        (np.array([2**63, 1], np.uint64), "2\\*\\*63"),
    ],
)
def test_bad_ids(users, message):
    with pytest.raises(DataError, match=message):
        Interactions(users, [1, 2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ratings": [1.0, np.nan]}, "ratings: missing or infinite at position 1"),
        ({"ratings": ["a", "b"]}, "ratings: expected a vector of numbers"),
        ({"ratings": [1.0]}, "one length"),
        ({"timestamps": [1.0, np.nan]}, "position 1: missing or infinite timestamp"),
        ({"timestamps": [-1, 1]}, "position 0: negative timestamp"),
        ({"min_rating": 3}, "there are no ratings"),
        ({"min_rating": "x"}, "min_rating: expected a number"),
        ({"min_user_items": -1}, "min_user_items"),
        ({"min_item_users": 5}, "no interaction is left with min_item_users=5"),
        ({"duplicates": "frist"}, "did you mean 'first'"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        Interactions([1, 2], [1, 2], **options)


BAD_FILES = {
    "empty": ("", "is empty"),
    "blank": ("\n\n", "is empty"),
    "header only": ("user,item\n", "no line of data"),
    "short line": ("user,item,rating\n1,2,3\n1,2\n4,5,6\n", "line 3: malformed line, expected 3 columns, got 2: 1,2"),
    "long line": ("user,item\n1,2\n1,2,9\n", "line 3: malformed line, expected 2 columns, got 3"),
    "rating": ("user,item,rating\n1,2,3\n1,3,good\n", "line 3, column 'rating': 'good' is no number"),
    "no rating": ("user,item,rating\n1,2,3\n1,3,\n", "line 3, column 'rating': missing or infinite rating"),
    "NaN rating": ("user,item,rating\n1,2,nan\n1,3,4\n", "line 2, column 'rating': missing"),
    "timestamp": ("user,item,timestamp\n1,2,3\n1,3,-4\n", "line 3, column 'timestamp': negative timestamp"),
    "NaN time": ("user,item,timestamp\n1,2,nan\n1,3,4\n", "line 2, column 'timestamp': missing"),
    "words for times": ("user,item,timestamp\n1,2,noon\n1,3,night\n", "column 'timestamp': expected numbers or dates"),
    "mixed": ("user,item\n1,2\nabc,3\n", "column 'user': ids of mixed types: 1 is an integer, 'abc' is not"),
    "one by type": ("user,item\n1,2\n7,3\n7.0,3\n", "7 and 7.0 differ by type alone"),
    "one by zeros": ("user,item\n7,3\n007,3\n", "differ by their writing alone"),
    "no id": ("user,item\n1,2\n,3\n", "line 3, column 'user': empty id"),
    "columns": ("who,what\n1,2\n", "no column for users is named as usual .*who, what"),
    "names": ("1,2\n3,4\n", "line 1: expected names of columns"),
    "twice": ("user,item,user\n1,2,3\n", "two columns have the same name"),
    "html": ("<html>\n<body>\n</body>\n", "no column for users"),
    "zero": ("user,item\n1,\0\n", "binary data"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files(tmp_path, name):
    pytest.importorskip("pyarrow")
    text, message = BAD_FILES[name]
    (tmp_path / "r.csv").write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        Interactions.from_csv(tmp_path / "r.csv")
    assert "\n" not in str(caught.value)
    assert "r.csv" in str(caught.value)


def test_a_bad_line_far_down(tmp_path):
    pytest.importorskip("pyarrow")
    lines = [f"{i},{i % 7},3" for i in range(700_000)]
    lines[650_000] = "1,2,three"
    (tmp_path / "r.csv").write_text("user,item,rating\n" + "\n".join(lines) + "\n")
    with pytest.raises(DataError, match="line 650002, column 'rating': 'three'"):
        Interactions.from_csv(tmp_path / "r.csv")
    lines[650_000] = "1,2"
    (tmp_path / "r.csv").write_text("user,item,rating\n" + "\n".join(lines) + "\n")
    with pytest.raises(DataError, match="line 650002: malformed"):
        Interactions.from_csv(tmp_path / "r.csv")


def test_other_bad_files(tmp_path):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    (tmp_path / "r.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\xff")
    with pytest.raises(DataError, match="is no CSV file"):
        Interactions.read(tmp_path / "r.png")
    table = pa.table({"user": [1, 2], "item": [1, 2]})
    parquet.write_table(table, tmp_path / "r.parquet")
    (tmp_path / "r.csv").write_bytes((tmp_path / "r.parquet").read_bytes())
    with pytest.raises(DataError, match="is a Parquet file"):
        Interactions.from_csv(tmp_path / "r.csv")
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "r.parquet").read_bytes()[:-20])
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        Interactions.read(tmp_path / "cut.parquet")
    with pytest.raises(FileNotFoundError, match=r"no such file: .*; did you mean 'r.csv'"):
        Interactions.read(tmp_path / "rr.csv")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        Interactions.read(tmp_path)
    with pytest.raises(DataError, match=r"no column 'userr' for users; did you mean 'user'\?"):
        Interactions.read(tmp_path / "r.parquet", user="userr")
    with pytest.raises(DataError, match="asked for twice"):
        Interactions.read(tmp_path / "r.parquet", user="user", item="user")
    with pytest.raises(DataError, match="no column 7"):
        Interactions.read(tmp_path / "r.parquet", user=7)
    with pytest.raises(DataError, match="row 1, column 'user': missing id"):
        Interactions.from_frame(pa.table({"user": [1, None], "item": [1, 2]}))
    with pytest.raises(DataError, match="expected ids that are integers or strings, got double"):
        Interactions.from_frame(pa.table({"user": [1.5, 2], "item": [1, 2]}))
    with pytest.raises(DataError, match="has no rows"):
        Interactions.from_frame(pa.table({"user": pa.array([], pa.int64()), "item": pa.array([], pa.int64())}))
    with pytest.raises(DataError, match="expected numbers, got string"):
        Interactions.from_frame(pa.table({"user": [1], "item": [1], "rating": ["x"]}))
    with pytest.raises(TypeError, match="expected a dataframe"):
        Interactions.from_frame([1, 2])
    with pytest.raises(ValueError, match="id_type"):
        Interactions.read(tmp_path / "r.parquet", id_type="float")


def test_mixed_types_in_a_frame():
    pd = pytest.importorskip("pandas")
    pytest.importorskip("narwhals")
    with pytest.raises(DataError, match="1 and '1' differ by their type alone"):
        Interactions.from_frame(pd.DataFrame({"user": pd.Series([1, "1"], dtype=object), "item": [1, 2]}))


def test_text_ids(tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "r.csv"
    path.write_text("user,item\n0007,000100039X\n0012,0001000391\n")
    X = Interactions.from_csv(path)
    assert X.user_ids.tolist() == ["0007", "0012"]
    assert X.item_ids.tolist() == ["0001000391", "000100039X"]
    assert Interactions.from_csv(path, id_type="str").equals(X)
    with pytest.raises(DataError, match="'000100039X' is no integer"):
        Interactions.from_csv(path, id_type="int")
    path.write_text("user,item\n1,-2\nabc,30\n")
    X = Interactions.from_csv(path, id_type="str")
    assert X.user_ids.tolist() == ["1", "abc"]
    assert X.item_ids.tolist() == ["-2", "30"]


def test_a_missing_extra_is_named(tmp_path):
    csv_file(tmp_path)
    code = (
        "import sys; sys.modules['pyarrow'] = None; sys.modules['pyarrow.csv'] = None; import fastlae\n"
        "try: fastlae.Interactions.read('ratings.csv')\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "reading CSV needs pyarrow: pip install 'fastlae[data]'\n"


def test_arguments_are_not_changed():
    users, times = np.array([2, 1, 2]), np.array([5, 6, 1])
    Interactions(users, [1, 1, 1], timestamps=times, duplicates="sum")
    assert users.tolist() == [2, 1, 2]
    assert times.tolist() == [5, 6, 1]
    assert fastlae.Interactions is Interactions


def test_categories_that_a_filter_left_are_no_items():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"user": ["a", "b", "c"], "item": pd.Categorical(["x", "y", "z"], ["z", "y", "x", "", "w"])})
    X = Interactions.from_frame(frame[frame.item != "z"])
    assert X.item_ids.tolist() == ["x", "y"]
    assert X.shape == (2, 2)
    assert dense(X) == {("a", "x"): 1, ("b", "y"): 1}


@pytest.mark.parametrize("number", [float, np.float64, np.float32])
def test_a_rating_at_the_minimum_stays(number):
    assert Interactions([1, 2, 3], ["a", "b", "a"], ratings=[4.1, 4.1, 3.0], min_rating=number(4.1)).nnz == 2


def test_a_file_without_header_and_with_one_column(tmp_path):
    (tmp_path / "one.csv").write_text("a\nb\n")
    with pytest.raises(DataError, match="expected a user and an item, got 'a'"):
        Interactions.read(tmp_path / "one.csv", header=False)


def test_a_matrix_is_copied():
    M = fastlae.data.make_interactions(n_users=30, n_items=40, seed=1)
    X, before = Interactions.from_matrix(M), M.copy()
    M.indices[:] = 0
    assert (X.matrix != before).nnz == 0


def test_dates_within_a_second_are_told_apart():
    pd = pytest.importorskip("pandas")
    times = pd.to_datetime(["2020-01-01T00:00:00.900", "2020-01-01T00:00:00.100"])
    frame = pd.DataFrame({"user": ["a", "a"], "item": ["x", "x"], "rating": [1.0, 5.0], "timestamp": times})
    assert Interactions.from_frame(frame).matrix.data.tolist() == [1.0]


def test_columns_without_names():
    pd = pytest.importorskip("pandas")
    with pytest.raises(DataError, match="columns named by strings, got 0"):
        Interactions.from_frame(pd.DataFrame([[1, 2], [3, 4]]), user=0, item=1)
