#!/usr/bin/env bash
# Everything that needs a GPU, in one go of under ten minutes: build for the GPU that is here, test, look for memory
# errors and races with compute-sanitizer, measure. Nothing is fetched: Python with torch (and, if it is there, CuPy),
# NumPy, SciPy, safetensors, pytest, hypothesis, pybind11, scikit-build-core, CMake, ninja and nvcc must be installed.
#
#   bench/gpu.sh [folder for logs and figures]      PYTHON=python3 GPU_STEPS="build test sanitize bench"
set -uo pipefail
cd "$(dirname "$0")/.."
out=$(realpath -m "${1:-${OUT:-build/gpu}}")
python=${PYTHON:-python3}
steps=${GPU_STEPS:-build test sanitize bench}
mkdir -p "$out"
failed=()

step() { # name, seconds, command...
  local name=$1 limit=$2 start=$SECONDS
  shift 2
  printf '\n== %s\n' "$name"
  if timeout "$limit" "$@" >"$out/$name.log" 2>&1; then
    tail -n 5 "$out/$name.log"
  else
    failed+=("$name")
    tail -n 40 "$out/$name.log"
  fi
  printf -- '-- %s: %d s\n' "$name" $((SECONDS - start))
}
wants() { [[ " $steps " == *" $1 "* ]]; }

nvidia-smi | tee "$out/device.log" | sed -n 3,15p

if wants build; then
  step build 200 "$python" -m pip install --no-build-isolation --no-deps --no-index --force-reinstall . \
    -C cmake.define.FASTLAE_CUDA=ON -C cmake.define.FASTLAE_CUDA_ARCHS="${FASTLAE_CUDA_ARCHS:-native}"
fi
if wants test; then
  step test 200 "$python" -m pytest -q -m gpu tests/test_cuda.py
fi
if wants sanitize && command -v compute-sanitizer >/dev/null; then
  # Freed memory goes back at once, so that what is read or written after its end is seen.
  export PYTORCH_NO_CUDA_MEMORY_CACHING=1
  some="torch and (test_gram or test_spd_inverse or test_topk or test_recommend or test_miller) and not many"
  for tool in memcheck racecheck synccheck; do
    step "$tool" 100 compute-sanitizer --tool "$tool" --error-exitcode 9 --kernel-regex kns=fastlae \
      "$python" -m pytest -q -x -m gpu tests/test_cuda.py -k "$some"
  done
  unset PYTORCH_NO_CUDA_MEMORY_CACHING
fi
if wants bench; then
  step bench 300 "$python" -m bench gpu
  cp -f bench/results/gpu.json "$out/" 2>/dev/null
fi

if ((${#failed[@]})); then
  printf '\nfailed: %s (logs in %s)\n' "${failed[*]}" "$out"
  exit 1
fi
printf '\nall passed; logs and figures in %s\n' "$out"
