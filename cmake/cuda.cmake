# The optional second module, _cuda: kernels in csrc/cuda, bindings in csrc/bindings/module_cuda.cpp. _core never
# depends on it. The CUDA runtime is linked in, so that the module imports where there is no driver.

set(FASTLAE_CUDA "AUTO" CACHE STRING "CUDA module: AUTO (where nvcc works), ON or OFF")
set(FASTLAE_CUDA_ARCHS "" CACHE STRING "As CMAKE_CUDA_ARCHITECTURES, for instance 90-real or native; empty: all")
option(FASTLAE_CUDA_REPORT "Have ptxas report registers and spills of every kernel" OFF)

string(TOUPPER "${FASTLAE_CUDA}" _mode)
if(NOT _mode MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "FASTLAE_CUDA: expected AUTO, ON or OFF, got ${FASTLAE_CUDA}")
endif()
if(_mode STREQUAL "OFF" OR NOT FASTLAE_PYTHON)
  return()
endif()

if(NOT DEFINED CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  find_program(FASTLAE_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES bin)
  if(FASTLAE_NVCC)
    set(ENV{CUDACXX} "${FASTLAE_NVCC}")
  endif()
endif()
include(CheckLanguage)
check_language(CUDA)  # runs the compiler: a broken one counts as none
if(NOT CMAKE_CUDA_COMPILER)
  if(_mode STREQUAL "ON")
    message(FATAL_ERROR "FASTLAE_CUDA=ON, but no working CUDA compiler was found: install nvcc 12.0 or newer, set "
      "CUDACXX to it, or build for the CPU alone with FASTLAE_CUDA=OFF")
  endif()
  message(STATUS "fastlae: no working CUDA compiler, so for the CPU alone")
  return()
endif()

set(_own_architectures OFF)
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES OFF)  # decided below, when the compiler's version is known
  set(_own_architectures ON)
endif()
enable_language(CUDA)
if(_own_architectures)
  if(FASTLAE_CUDA_ARCHS)
    set(CMAKE_CUDA_ARCHITECTURES ${FASTLAE_CUDA_ARCHS})
  elseif(CMAKE_CUDA_COMPILER_VERSION VERSION_GREATER_EQUAL 12.8)
    set(CMAKE_CUDA_ARCHITECTURES 80-real 86-real 89-real 90-real 100-real 120-real 120-virtual)
  else()
    set(CMAKE_CUDA_ARCHITECTURES 80-real 86-real 89-real 90-real 90-virtual)
  endif()
endif()
set(CMAKE_CUDA_STANDARD 17)
find_package(CUDAToolkit)
if(NOT TARGET CUDA::cudart_static)
  if(_mode STREQUAL "ON")
    message(FATAL_ERROR "FASTLAE_CUDA=ON, but the static CUDA runtime (libcudart_static.a) was not found beside nvcc")
  endif()
  message(STATUS "fastlae: no static CUDA runtime, so for the CPU alone")
  return()
endif()

add_library(fastlae_cuda STATIC
  csrc/cuda/als.cu
  csrc/cuda/composite_prior.cu
  csrc/cuda/cublas.cpp
  csrc/cuda/device.cu
  csrc/cuda/factors.cu
  csrc/cuda/gram.cu
  csrc/cuda/gram_product.cu
  csrc/cuda/knn_graph.cu
  csrc/cuda/metrics.cu
  csrc/cuda/multinomial.cu
  csrc/cuda/product.cu
  csrc/cuda/refine.cu
  csrc/cuda/score.cu
  csrc/cuda/slim.cu
  csrc/cuda/spd_inverse.cu
  csrc/cuda/swish_norm.cu
  csrc/cuda/topk.cu
  csrc/cuda/weights.cu
)
target_include_directories(fastlae_cuda PUBLIC csrc/include PRIVATE csrc/cuda)
# 554: a conversion of MatrixView<const T> to itself is never called.
target_compile_options(fastlae_cuda PRIVATE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra $<$<BOOL:${FASTLAE_WERROR}>:-Werror>>
  $<$<COMPILE_LANGUAGE:CUDA>:-diag-suppress=554 -Xcompiler=-Wall
    $<$<BOOL:${FASTLAE_WERROR}>:-Werror=all-warnings> $<$<BOOL:${FASTLAE_CUDA_REPORT}>:-Xptxas=-v>>)
set_target_properties(fastlae_cuda PROPERTIES CUDA_RUNTIME_LIBRARY Static CXX_VISIBILITY_PRESET hidden
  CUDA_VISIBILITY_PRESET hidden)

pybind11_add_module(_cuda MODULE
  csrc/bindings/device_networks.cpp
  csrc/bindings/device_solvers.cpp
  csrc/bindings/module_cuda.cpp
)
target_link_libraries(_cuda PRIVATE fastlae_cuda CUDA::cudart_static ${CMAKE_DL_LIBS})
target_link_options(_cuda PRIVATE LINKER:--exclude-libs,ALL)
set_target_properties(_cuda PROPERTIES CUDA_RUNTIME_LIBRARY Static)
target_compile_options(_cuda PRIVATE -Wall -Wextra -Wshadow $<$<BOOL:${FASTLAE_WERROR}>:-Werror>)
install(TARGETS _cuda LIBRARY DESTINATION fastlae)
