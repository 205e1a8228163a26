/// The parts of NVIDIA's C interfaces that pbctl calls, declared by hand so that nothing of CUDA is needed to build.
///
/// Names, argument orders and values are those of CUDA 13.0 (cuda.h, cublas_v2.h, cublasLt.h, nvrtc.h, nvml.h); a test
/// holds them against the official headers where these are installed. Every enumeration is an int, every handle a
/// pointer, so that the declarations can stand beside the official ones.
#ifndef PBCTL_CUDA_HEADERS_H
#define PBCTL_CUDA_HEADERS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __clang__
#pragma clang assume_nonnull begin
#else
#define _Nullable
#define _Nonnull
#endif

/// An address in a device's memory.
typedef uint64_t cuda_address;
typedef struct cuda_context *cuda_context_ref;
typedef struct cuda_stream *cuda_stream_ref;
typedef struct cuda_event *cuda_event_ref;
typedef struct cuda_module *cuda_module_ref;
typedef struct cuda_function *cuda_function_ref;
typedef struct cuda_graph *cuda_graph_ref;
typedef struct cuda_graph_exec *cuda_graph_exec_ref;
typedef struct cublas_handle *cublas_handle_ref;
typedef struct cublaslt_handle *cublaslt_handle_ref;
typedef struct cublaslt_matmul_desc *cublaslt_matmul_desc_ref;
typedef struct cublaslt_layout *cublaslt_layout_ref;
typedef struct cublaslt_preference *cublaslt_preference_ref;
typedef struct nvrtc_program *nvrtc_program_ref;
typedef struct nvml_device *nvml_device_ref;

enum {
    // CUresult
    CUDA_OK = 0,
    CUDA_OUT_OF_MEMORY = 2,
    CUDA_NO_DEVICE = 100,
    CUDA_NO_BINARY_FOR_GPU = 209,
    CUDA_ECC_UNCORRECTABLE = 214,
    CUDA_NOT_READY = 600,
    CUDA_ILLEGAL_ADDRESS = 700,
    CUDA_LAUNCH_FAILED = 719,
    CUDA_SYSTEM_DRIVER_MISMATCH = 803,

    // CUdevice_attribute
    CUDA_ATTRIBUTE_MULTIPROCESSOR_COUNT = 16,
    CUDA_ATTRIBUTE_L2_CACHE_SIZE = 38,
    CUDA_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75,
    CUDA_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76,
    CUDA_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN = 97,

    // CUfunction_attribute
    CUDA_FUNCTION_MAX_DYNAMIC_SHARED_BYTES = 8,

    CUDA_STREAM_NON_BLOCKING = 1,
    CUDA_EVENT_DISABLE_TIMING = 2,
    CUDA_CAPTURE_THREAD_LOCAL = 1,

    // cudaDataType_t, cublasComputeType_t, cublasOperation_t, cublasGemmAlgo_t
    CUDA_TYPE_F32 = 0,
    CUDA_TYPE_F16 = 2,
    CUDA_TYPE_BF16 = 14,
    CUBLAS_COMPUTE_F32 = 68,
    CUBLAS_NO_TRANSPOSE = 0,
    CUBLAS_TRANSPOSE = 1,
    CUBLAS_ALGORITHM_DEFAULT = -1,

    // cublasLtMatmulDescAttributes_t, cublasLtMatmulPreferenceAttributes_t
    CUBLASLT_DESC_TRANSPOSE_A = 3,
    CUBLASLT_DESC_TRANSPOSE_B = 4,
    CUBLASLT_PREFERENCE_MAX_WORKSPACE_BYTES = 1,
    CUBLASLT_PREFERENCE_MIN_ALIGNMENT_A_BYTES = 5,
    CUBLASLT_PREFERENCE_MIN_ALIGNMENT_B_BYTES = 6,
    CUBLASLT_PREFERENCE_MIN_ALIGNMENT_C_BYTES = 7,
    CUBLASLT_PREFERENCE_MIN_ALIGNMENT_D_BYTES = 8,

    NVRTC_OK = 0,
    NVRTC_COMPILATION_FAILED = 6,

    NVML_OK = 0,
};

/// cublasLtMatmulAlgo_t.
typedef struct {
    uint64_t data[8];
} cublaslt_algorithm;

/// cublasLtMatmulHeuristicResult_t.
typedef struct {
    cublaslt_algorithm algorithm;
    size_t workspace_bytes;
    int state;
    float waves;
    int reserved[4];
} cublaslt_heuristic;

/// nvmlUtilization_t, percent.
typedef struct {
    unsigned gpu;
    unsigned memory;
} nvml_utilization;

/// nvmlMemory_t, bytes.
typedef struct {
    unsigned long long total;
    unsigned long long free;
    unsigned long long used;
} nvml_memory;

// Each table lists NAME of the symbol, name of the field, and the arguments; all functions return an int.

#define CUDA_DRIVER_SYMBOLS(X)                                                                                         \
    X(cuInit, init, (unsigned flags))                                                                                  \
    X(cuDriverGetVersion, driver_get_version, (int *version))                                                          \
    X(cuGetErrorName, get_error_name, (int error, const char *_Nullable *_Nonnull name))                               \
    X(cuGetErrorString, get_error_string, (int error, const char *_Nullable *_Nonnull text))                           \
    X(cuDeviceGetCount, device_get_count, (int *count))                                                                \
    X(cuDeviceGet, device_get, (int *device, int ordinal))                                                             \
    X(cuDeviceGetName, device_get_name, (char *name, int length, int device))                                          \
    X(cuDeviceTotalMem_v2, device_total_memory, (size_t *bytes, int device))                                           \
    X(cuDeviceGetAttribute, device_get_attribute, (int *value, int attribute, int device))                             \
    X(cuDeviceGetUuid_v2, device_get_uuid, (void *sixteen_bytes, int device))                                          \
    X(cuDevicePrimaryCtxRetain, primary_context_retain, (cuda_context_ref _Nullable *_Nonnull context, int device))    \
    X(cuDevicePrimaryCtxRelease_v2, primary_context_release, (int device))                                             \
    X(cuCtxSetCurrent, context_set_current, (cuda_context_ref _Nullable context))                                      \
    X(cuMemGetInfo_v2, memory_get_info, (size_t *free_bytes, size_t *total_bytes))                                     \
    X(cuMemAlloc_v2, memory_allocate, (cuda_address *address, size_t bytes))                                           \
    X(cuMemFree_v2, memory_free, (cuda_address address))                                                               \
    X(cuMemHostAlloc, host_allocate, (void *_Nullable *_Nonnull memory, size_t bytes, unsigned flags))                 \
    X(cuMemFreeHost, host_free, (void *memory))                                                                        \
    X(cuMemcpyHtoDAsync_v2, copy_to_device, (cuda_address target, const void *source, size_t bytes,                    \
        cuda_stream_ref _Nullable stream))                                                                             \
    X(cuMemcpyDtoHAsync_v2, copy_to_host, (void *target, cuda_address source, size_t bytes,                            \
        cuda_stream_ref _Nullable stream))                                                                             \
    X(cuMemcpyDtoDAsync_v2, copy_on_device, (cuda_address target, cuda_address source, size_t bytes,                   \
        cuda_stream_ref _Nullable stream))                                                                             \
    X(cuMemsetD8Async, set_bytes, (cuda_address target, unsigned char value, size_t bytes,                             \
        cuda_stream_ref _Nullable stream))                                                                             \
    X(cuStreamCreate, stream_create, (cuda_stream_ref _Nullable *_Nonnull stream, unsigned flags))                     \
    X(cuStreamDestroy_v2, stream_destroy, (cuda_stream_ref stream))                                                    \
    X(cuStreamSynchronize, stream_synchronize, (cuda_stream_ref _Nullable stream))                                     \
    X(cuStreamWaitEvent, stream_wait_event, (cuda_stream_ref _Nullable stream, cuda_event_ref event, unsigned flags))  \
    X(cuEventCreate, event_create, (cuda_event_ref _Nullable *_Nonnull event, unsigned flags))                         \
    X(cuEventDestroy_v2, event_destroy, (cuda_event_ref event))                                                        \
    X(cuEventRecord, event_record, (cuda_event_ref event, cuda_stream_ref _Nullable stream))                           \
    X(cuEventSynchronize, event_synchronize, (cuda_event_ref event))                                                   \
    X(cuEventElapsedTime, event_elapsed_time, (float *milliseconds, cuda_event_ref start, cuda_event_ref end))         \
    X(cuModuleLoadData, module_load, (cuda_module_ref _Nullable *_Nonnull module, const void *image))                  \
    X(cuModuleUnload, module_unload, (cuda_module_ref module))                                                         \
    X(cuModuleGetFunction, module_get_function, (cuda_function_ref _Nullable *_Nonnull function,                       \
        cuda_module_ref module, const char *name))                                                                     \
    X(cuFuncSetAttribute, function_set_attribute, (cuda_function_ref function, int attribute, int value))              \
    X(cuLaunchKernel, launch, (cuda_function_ref function, unsigned grid_x, unsigned grid_y, unsigned grid_z,          \
        unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,                                   \
        cuda_stream_ref _Nullable stream, void *_Nullable *_Nonnull arguments, void *_Nullable *_Nullable extra))      \
    X(cuStreamBeginCapture_v2, stream_begin_capture, (cuda_stream_ref stream, int mode))                               \
    X(cuStreamEndCapture, stream_end_capture, (cuda_stream_ref stream, cuda_graph_ref _Nullable *_Nonnull graph))      \
    X(cuGraphInstantiateWithFlags, graph_instantiate, (cuda_graph_exec_ref _Nullable *_Nonnull executable,             \
        cuda_graph_ref graph, unsigned long long flags))                                                               \
    X(cuGraphLaunch, graph_launch, (cuda_graph_exec_ref executable, cuda_stream_ref _Nullable stream))                 \
    X(cuGraphExecDestroy, graph_exec_destroy, (cuda_graph_exec_ref executable))                                        \
    X(cuGraphDestroy, graph_destroy, (cuda_graph_ref graph))

#define CUBLAS_SYMBOLS(X)                                                                                              \
    X(cublasCreate_v2, create, (cublas_handle_ref _Nullable *_Nonnull handle))                                         \
    X(cublasDestroy_v2, destroy, (cublas_handle_ref handle))                                                           \
    X(cublasGetVersion_v2, get_version, (cublas_handle_ref _Nullable handle, int *version))                            \
    X(cublasSetStream_v2, set_stream, (cublas_handle_ref handle, cuda_stream_ref _Nullable stream))                    \
    X(cublasSetWorkspace_v2, set_workspace, (cublas_handle_ref handle, void *_Nullable workspace, size_t bytes))       \
    X(cublasGemmEx, gemm, (cublas_handle_ref handle, int transpose_a, int transpose_b, int m, int n, int k,            \
        const void *alpha, const void *_Nullable a, int a_type, int lda, const void *_Nullable b, int b_type, int ldb, \
        const void *beta, void *_Nullable c, int c_type, int ldc, int compute_type, int algorithm))

#define CUBLASLT_SYMBOLS(X)                                                                                            \
    X(cublasLtCreate, create, (cublaslt_handle_ref _Nullable *_Nonnull handle))                                        \
    X(cublasLtDestroy, destroy, (cublaslt_handle_ref handle))                                                          \
    X(cublasLtMatmulDescCreate, desc_create, (cublaslt_matmul_desc_ref _Nullable *_Nonnull desc, int compute_type,     \
        int scale_type))                                                                                               \
    X(cublasLtMatmulDescDestroy, desc_destroy, (cublaslt_matmul_desc_ref desc))                                        \
    X(cublasLtMatmulDescSetAttribute, desc_set, (cublaslt_matmul_desc_ref desc, int attribute, const void *value,      \
        size_t bytes))                                                                                                 \
    X(cublasLtMatrixLayoutCreate, layout_create, (cublaslt_layout_ref _Nullable *_Nonnull layout, int type,            \
        uint64_t rows, uint64_t columns, int64_t leading_dimension))                                                   \
    X(cublasLtMatrixLayoutDestroy, layout_destroy, (cublaslt_layout_ref layout))                                       \
    X(cublasLtMatmulPreferenceCreate, preference_create, (cublaslt_preference_ref _Nullable *_Nonnull preference))     \
    X(cublasLtMatmulPreferenceDestroy, preference_destroy, (cublaslt_preference_ref preference))                       \
    X(cublasLtMatmulPreferenceSetAttribute, preference_set, (cublaslt_preference_ref preference, int attribute,        \
        const void *value, size_t bytes))                                                                              \
    X(cublasLtMatmulAlgoGetHeuristic, get_heuristics, (cublaslt_handle_ref handle, cublaslt_matmul_desc_ref desc,      \
        cublaslt_layout_ref a, cublaslt_layout_ref b, cublaslt_layout_ref c, cublaslt_layout_ref d,                    \
        cublaslt_preference_ref preference, int wanted, cublaslt_heuristic *results, int *count))                      \
    X(cublasLtMatmul, matmul, (cublaslt_handle_ref handle, cublaslt_matmul_desc_ref desc, const void *alpha,           \
        const void *_Nullable a, cublaslt_layout_ref a_layout, const void *_Nullable b, cublaslt_layout_ref b_layout,  \
        const void *beta, const void *_Nullable c, cublaslt_layout_ref c_layout, void *_Nullable d,                    \
        cublaslt_layout_ref d_layout, const cublaslt_algorithm *_Nullable algorithm, void *_Nullable workspace,        \
        size_t workspace_bytes, cuda_stream_ref _Nullable stream))

#define NVRTC_SYMBOLS(X)                                                                                               \
    X(nvrtcVersion, version, (int *major, int *minor))                                                                 \
    X(nvrtcGetNumSupportedArchs, get_architecture_count, (int *count))                                                 \
    X(nvrtcGetSupportedArchs, get_architectures, (int *architectures))                                                 \
    X(nvrtcCreateProgram, create, (nvrtc_program_ref _Nullable *_Nonnull program, const char *source,                  \
        const char *_Nullable name, int header_count, const char *_Nonnull const *_Nullable headers,                   \
        const char *_Nonnull const *_Nullable header_names))                                                           \
    X(nvrtcCompileProgram, compile, (nvrtc_program_ref program, int option_count,                                      \
        const char *_Nonnull const *_Nullable options))                                                                \
    X(nvrtcGetProgramLogSize, get_log_size, (nvrtc_program_ref program, size_t *bytes))                                \
    X(nvrtcGetProgramLog, get_log, (nvrtc_program_ref program, char *log))                                             \
    X(nvrtcGetCUBINSize, get_cubin_size, (nvrtc_program_ref program, size_t *bytes))                                   \
    X(nvrtcGetCUBIN, get_cubin, (nvrtc_program_ref program, char *cubin))                                              \
    X(nvrtcGetPTXSize, get_ptx_size, (nvrtc_program_ref program, size_t *bytes))                                       \
    X(nvrtcGetPTX, get_ptx, (nvrtc_program_ref program, char *ptx))                                                    \
    X(nvrtcDestroyProgram, destroy, (nvrtc_program_ref _Nullable *_Nonnull program))

#define NVML_SYMBOLS(X)                                                                                                \
    X(nvmlInit_v2, init, (void))                                                                                       \
    X(nvmlSystemGetDriverVersion, get_driver_version, (char *version, unsigned length))                                \
    X(nvmlDeviceGetHandleByUUID, get_handle, (const char *uuid, nvml_device_ref _Nullable *_Nonnull device))           \
    X(nvmlDeviceGetUtilizationRates, get_utilization, (nvml_device_ref device, nvml_utilization *utilization))         \
    X(nvmlDeviceGetMemoryInfo, get_memory, (nvml_device_ref device, nvml_memory *memory))

#define CUDA_TABLE_FIELD(symbol, field, arguments) int(*field) arguments;

/// libcuda.so.1.
typedef struct {
    CUDA_DRIVER_SYMBOLS(CUDA_TABLE_FIELD)
} cuda_driver_table;

/// libcublas.so.
typedef struct {
    CUBLAS_SYMBOLS(CUDA_TABLE_FIELD)
} cublas_table;

/// libcublasLt.so.
typedef struct {
    CUBLASLT_SYMBOLS(CUDA_TABLE_FIELD)
} cublaslt_table;

/// libnvrtc.so.
typedef struct {
    NVRTC_SYMBOLS(CUDA_TABLE_FIELD)
} nvrtc_table;

/// libnvidia-ml.so.1.
typedef struct {
    NVML_SYMBOLS(CUDA_TABLE_FIELD)
} nvml_table;

/// The symbols of a table, in the order of its fields, ended by a null pointer.
const char *_Nullable const *_Nonnull cuda_driver_symbols(void);
const char *_Nullable const *_Nonnull cublas_symbols(void);
const char *_Nullable const *_Nonnull cublaslt_symbols(void);
const char *_Nullable const *_Nonnull nvrtc_symbols(void);
const char *_Nullable const *_Nonnull nvml_symbols(void);

/// The file of a library that dlopen gave; a null pointer where the loader does not tell.
const char *_Nullable cuda_library_path(void *handle);

#ifdef __clang__
#pragma clang assume_nonnull end
#endif

#endif
