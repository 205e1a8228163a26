#define _GNU_SOURCE

#include "cuda_headers.h"

#include <dlfcn.h>
#include <link.h>

#define SYMBOL_NAME(symbol, field, arguments) #symbol,

/// Defines the function that lists a table's symbols.
#define SYMBOL_LIST(function, symbols)                                                                                 \
    const char *const *function(void) {                                                                                \
        static const char *const names[] = {symbols(SYMBOL_NAME) NULL};                                                \
        return names;                                                                                                  \
    }

SYMBOL_LIST(cuda_driver_symbols, CUDA_DRIVER_SYMBOLS)
SYMBOL_LIST(cublas_symbols, CUBLAS_SYMBOLS)
SYMBOL_LIST(cublaslt_symbols, CUBLASLT_SYMBOLS)
SYMBOL_LIST(nvrtc_symbols, NVRTC_SYMBOLS)
SYMBOL_LIST(nvml_symbols, NVML_SYMBOLS)

const char *cuda_library_path(void *handle) {
    struct link_map *map = NULL;
    if (dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0 || map == NULL || map->l_name[0] == '\0') return NULL;
    return map->l_name;
}
