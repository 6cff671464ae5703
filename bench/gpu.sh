#!/usr/bin/env bash
# Everything that needs a GPU, in one go of under ten minutes: build for the GPU that is here, test, measure, look for
# memory errors and races with compute-sanitizer. Whatever fails, the rest is run; parts are processes of their own, for
# after an illegal access nothing works in the same one. Nothing is fetched: Python with torch (and, if it is there,
# CuPy), NumPy, SciPy, safetensors, pytest, hypothesis, pybind11, scikit-build-core, CMake, ninja and nvcc must be there.
#
#   bench/gpu.sh [folder]      PYTHON=python3 GPU_STEPS="build test bench sanitize" GPU_SECONDS=590
#
# Into the folder (or $OUT, or build/gpu): log.txt with all output, gpu.json with figures, summary.json with each part's
# outcome, which the last lines show too. One go of 590 seconds may end before the last parts: where more time is to be
# had, call it once for each step, on the same machine.
set -uo pipefail
cd "$(dirname "$0")/.."
out=$(realpath -m "${1:-${OUT:-build/gpu}}")
python=${PYTHON:-python3}
steps=${GPU_STEPS:-build test bench sanitize}
seconds=${GPU_SECONDS:-590}
export PYTHONUNBUFFERED=1
mkdir -p "$out"
: >"$out/log.txt"
: >"$out/parts.txt"

part() { # name, seconds at most, command...
  local name=$1 limit=$2 start=$SECONDS status=passed code=0
  shift 2
  local left=$((seconds - SECONDS))
  ((limit > left)) && limit=$left
  printf '\n== %s\n' "$name" | tee -a "$out/log.txt"
  local own
  own=$(mktemp)
  if ((limit < 5)); then
    status="not run: no time left"
  else
    timeout -s INT -k 10 "$limit" "$@" >"$own" 2>&1 || code=$?  # so that what there is is reported and kept
    ((code == 0)) || status="failed ($code)"
    ((code == 124 || code == 137 || (code != 0 && SECONDS - start >= limit))) && status="failed: not done after $limit s"
    ((code == 5)) && [[ $name == test* ]] && status="no tests"
  fi
  cat "$own" >>"$out/log.txt"
  if [[ $status == passed ]]; then tail -n 4 "$own"; else tail -n 25 "$own"; fi
  printf '%s\t%s\t%s\t%s\n' "$name" "$status" "$((SECONDS - start))" \
    "$(grep -aE '^(FAILED|ERROR|[0-9]+ (passed|failed|skipped|error)|=+ .*(passed|failed|error|skipped))' "$own" | head -n 12 | tr '\t\n' ' |')" \
    >>"$out/parts.txt"
  rm -f "$own"
}
wants() { [[ " $steps " == *" $1 "* ]]; }

part device 20 nvidia-smi
part versions 60 "$python" - <<'END'
import importlib.metadata as metadata
for name in ("torch", "cupy-cuda13x", "numpy", "scipy", "pybind11", "scikit-build-core", "cmake", "ninja", "pytest",
             "hypothesis", "safetensors"):
    try:
        print(name, metadata.version(name))
    except metadata.PackageNotFoundError:
        print(name, "is not installed")
END
if wants build; then
  part build 200 "$python" -m pip install --no-build-isolation --no-deps --no-index --force-reinstall . \
    -C cmake.define.FASTLAE_CUDA=ON -C cmake.define.FASTLAE_CUDA_ARCHS="${FASTLAE_CUDA_ARCHS:-native}" \
    -C cmake.define.CMAKE_CUDA_FLAGS=-lineinfo
  part import 60 "$python" -c "from fastlae._backend import cuda, cuda_status as s; print(s(), 'cuBLAS', cuda().cublas_version())"
fi
# Warnings of other libraries' about their own future are errors in this project, where their versions are known.
pytest=("$python" -m pytest -q -m gpu -rfE --tb=short -p no:cacheprovider -W ignore::DeprecationWarning
  -W ignore::PendingDeprecationWarning -W ignore::FutureWarning)
if wants test; then
  run=("${pytest[@]}" tests/test_cuda.py -k)
  part "test gram" 60 "${run[@]}" "gram or csr or sparse_matrices or duplicates"
  part "test inverse" 90 "${run[@]}" "inverse or tensor or residual"
  part "test recommend" 60 "${run[@]}" "recommend or topk or score"
  part "test models" 90 "${run[@]}" "model or form or sweep or weights or miller or fitted"
  part "test rest" 60 "${run[@]}" "not (gram or csr or sparse_matrices or duplicates or inverse or tensor or residual or \
recommend or topk or score or model or form or sweep or weights or miller or fitted)"
  part "test products" 40 "${pytest[@]}" tests/test_cuda_gram_product.py tests/test_cuda_knn_graph.py
  part "test solvers" 60 "${pytest[@]}" tests/test_cuda_solvers.py
  part "test networks" 60 "${pytest[@]}" tests/test_nn_functional_cuda.py
fi
bench() {
  local case
  for case in "$@"; do
    FASTLAE_GPU_CASES=$case part "bench $case" 100 "$python" -m bench gpu
    cp -f bench/results/*/gpu.json "$out/" 2>/dev/null
  done
}
sanitize() {
  local tool
  # What libraries ask the runtime in vain is not what is looked for. Freed memory goes back at once, so that what is
  # read or written after its end is seen.
  for tool in "$@"; do
    PYTORCH_NO_CUDA_MEMORY_CACHING=1 part "$tool" 90 "$sanitizer" --tool "$tool" --error-exitcode 9 \
      --report-api-errors no --kernel-regex kns=fastlae "${pytest[@]}" -x tests/test_cuda.py \
      tests/test_cuda_solvers.py tests/test_nn_functional_cuda.py -k "($some) or (kernels_of_the_device and cuda)"
  done
}
ops="test_gram or test_spd_inverse or test_topk or test_recommend or test_miller or users_form or als_rows or slim"
some="torch and ($ops or factors or ranking) and not (refuse or move or many)"
sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null)
wants sanitize && [[ -z $sanitizer ]] && echo "no compute-sanitizer: memory and races are not looked at" | tee -a "$out/log.txt"
if wants bench; then
  rm -f bench/results/*/gpu.json
  bench machine gram recommend inverse fit
fi
wants sanitize && [[ -n $sanitizer ]] && sanitize memcheck
wants bench && bench large networks solvers
wants sanitize && [[ -n $sanitizer ]] && sanitize racecheck synccheck

"$python" - "$out" <<'END'
import json, pathlib, sys
out = pathlib.Path(sys.argv[1])
rows = [line.split("\t") for line in (out / "parts.txt").read_text(errors="replace").splitlines()]
parts = [{"part": r[0], "status": r[1], "seconds": int(r[2]), "lines": [x for x in r[3].split("|") if x]} for r in rows]
figures = json.loads((out / "gpu.json").read_text())["results"] if (out / "gpu.json").exists() else {}
print("figures of", figures.get("device"), "(the bars are for an H200)") if figures else None
bars = [bar for case in figures.values() if isinstance(case, dict) for bar in case.get("bars", [])]
(out / "summary.json").write_text(json.dumps({"parts": parts, "bars": bars}, indent=1) + "\n")
print()
for p in parts:
    print(f"{p['part']:18} {p['seconds']:4} s  {p['status']}")
    for line in p["lines"]:
        print("    " + line[:180])
for bar in bars:
    print(f"bar {bar['what']}: {bar['measured']:.3g} (asked {bar['asked']}): {'met' if bar['met'] else 'MISSED'}")
sys.exit(any(p["status"] not in ("passed", "no tests") for p in parts))
END
code=$?
rm -f "$out/parts.txt"
[[ -n ${OUT:-} && $(realpath -m "$OUT") != "$out" ]] && cp -r "$out/." "$OUT/"
exit $code
