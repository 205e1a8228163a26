// libcublas's and libcublasLt's functions: products in plain loops, and libnvidia-ml's.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "state.h"

using namespace simulator;

namespace {

enum { ok = 0, not_initialized = 1, nvml_not_found = 6, invalid_value = 7, not_supported = 15 };
enum { f32 = 0, f16 = 2, bf16 = 14 };

size_t element_bytes(int type) { return type == f32 ? 4 : 2; }

float half_value(uint16_t bits) {
    _Float16 half;
    memcpy(&half, &bits, 2);
    return static_cast<float>(half);
}
float bfloat_value(uint16_t bits) {
    uint32_t wide = static_cast<uint32_t>(bits) << 16;
    float value;
    memcpy(&value, &wide, 4);
    return value;
}
float load(const void *base, size_t index, int type) {
    if (type == f32) return static_cast<const float *>(base)[index];
    uint16_t bits = static_cast<const uint16_t *>(base)[index];
    return type == f16 ? half_value(bits) : bfloat_value(bits);
}
void store(void *base, size_t index, int type, float value) {
    if (type == f32) {
        static_cast<float *>(base)[index] = value;
    } else if (type == f16) {
        auto half = static_cast<_Float16>(value);
        memcpy(static_cast<uint16_t *>(base) + index, &half, 2);
    } else {
        uint32_t bits;
        memcpy(&bits, &value, 4);
        bits += 0x7fff + (bits >> 16 & 1);
        static_cast<uint16_t *>(base)[index] = static_cast<uint16_t>(bits >> 16);
    }
}

struct Matrix {
    void *base;
    int type;
    int64_t leading;
    /// Rows and columns as stored, column by column.
    int64_t rows, columns;

    bool is_valid() const {
        if (leading < rows || !base || (type != f32 && type != f16 && type != bf16)) return false;
        size_t count = columns > 0 && rows > 0 ? static_cast<size_t>((columns - 1) * leading + rows) : 0;
        const Region *region = machine().region(reinterpret_cast<uint64_t>(base), count * element_bytes(type));
        return region && !region->is_pinned;
    }
};

/// Each of the operand's vectors along k, one after another, as floats.
std::vector<float> vectors(const Matrix &m, bool k_is_rows, int64_t count, int64_t k) {
    std::vector<float> all(static_cast<size_t>(count * k));
    for (int64_t i = 0; i < count; i++)
        for (int64_t j = 0; j < k; j++) {
            int64_t index = k_is_rows ? i * m.leading + j : j * m.leading + i;
            all[static_cast<size_t>(i * k + j)] = load(m.base, static_cast<size_t>(index), m.type);
        }
    return all;
}

int put_product(
    void *stream, bool transposes_a, bool transposes_b, int64_t m, int64_t n, int64_t k, float alpha, Matrix a,
    Matrix b, float beta, Matrix c) {
    if (m < 0 || n < 0 || k < 0) return invalid_value;
    if (m == 0 || n == 0) return ok;
    if (!a.is_valid() || !b.is_valid() || !c.is_valid()) return invalid_value;
    machine().counts["products"]++;
    machine().put(static_cast<Stream *>(stream), [=] {
        std::vector<float> left = vectors(a, transposes_a, m, k), right = vectors(b, !transposes_b, n, k);
        for (int64_t column = 0; column < n; column++)
            for (int64_t row = 0; row < m; row++) {
                const float *x = left.data() + row * k, *y = right.data() + column * k;
                float parts[8] = {};
                int64_t i = 0;
                for (; i + 8 <= k; i += 8)
                    for (int lane = 0; lane < 8; lane++) parts[lane] += x[i + lane] * y[i + lane];
                float even = (parts[0] + parts[4]) + (parts[2] + parts[6]);
                float odd = (parts[1] + parts[5]) + (parts[3] + parts[7]), sum = even + odd;
                for (; i < k; i++) sum += x[i] * y[i];
                auto at = static_cast<size_t>(column * c.leading + row);
                float old = beta == 0 ? 0 : beta * load(c.base, at, c.type);
                store(c.base, at, c.type, alpha * sum + old);
            }
        return 0;
    });
    return ok;
}

struct Handle {
    void *stream = nullptr;
};
struct Description {
    int transposes[2] = {0, 0};
};
struct Layout {
    int type;
    uint64_t rows, columns;
    int64_t leading;
};

}

extern "C" {

int cublasCreate_v2(void **handle) {
    SIMULATED(cublasCreate_v2)
    *handle = new Handle;
    return ok;
}
int cublasDestroy_v2(void *handle) {
    delete static_cast<Handle *>(handle);
    return ok;
}
int cublasGetVersion_v2(void *, int *version) {
    *version = 130100;
    return ok;
}
int cublasSetStream_v2(void *handle, void *stream) {
    SIMULATED(cublasSetStream_v2)
    static_cast<Handle *>(handle)->stream = stream;
    return ok;
}
int cublasSetWorkspace_v2(void *, void *, size_t) {
    SIMULATED(cublasSetWorkspace_v2)
    return ok;
}
int cublasGemmEx(
    void *handle, int transpose_a, int transpose_b, int m, int n, int k, const void *alpha, const void *a, int a_type,
    int lda, const void *b, int b_type, int ldb, const void *beta, void *c, int c_type, int ldc, int compute_type,
    int) {
    SIMULATED(cublasGemmEx)
    if (compute_type != 68) return not_supported;
    if (a_type != b_type) return not_supported;
    return put_product(
        static_cast<Handle *>(handle)->stream, transpose_a, transpose_b, m, n, k, *static_cast<const float *>(alpha),
        {const_cast<void *>(a), a_type, lda, transpose_a ? k : m, transpose_a ? m : k},
        {const_cast<void *>(b), b_type, ldb, transpose_b ? n : k, transpose_b ? k : n},
        *static_cast<const float *>(beta), {c, c_type, ldc, m, n});
}

int cublasLtCreate(void **handle) {
    SIMULATED(cublasLtCreate)
    *handle = new Handle;
    return ok;
}
int cublasLtDestroy(void *handle) {
    delete static_cast<Handle *>(handle);
    return ok;
}
int cublasLtMatmulDescCreate(void **description, int compute_type, int) {
    SIMULATED(cublasLtMatmulDescCreate)
    if (compute_type != 68) return not_supported;
    *description = new Description;
    return ok;
}
int cublasLtMatmulDescDestroy(void *description) {
    delete static_cast<Description *>(description);
    return ok;
}
int cublasLtMatmulDescSetAttribute(void *description, int attribute, const void *value, size_t bytes) {
    SIMULATED(cublasLtMatmulDescSetAttribute)
    if ((attribute != 3 && attribute != 4) || bytes != 4) return not_supported;
    memcpy(&static_cast<Description *>(description)->transposes[attribute - 3], value, 4);
    return ok;
}
int cublasLtMatrixLayoutCreate(void **layout, int type, uint64_t rows, uint64_t columns, int64_t leading) {
    SIMULATED(cublasLtMatrixLayoutCreate)
    *layout = new Layout{type, rows, columns, leading};
    return ok;
}
int cublasLtMatrixLayoutDestroy(void *layout) {
    delete static_cast<Layout *>(layout);
    return ok;
}
int cublasLtMatmulPreferenceCreate(void **preference) {
    SIMULATED(cublasLtMatmulPreferenceCreate)
    *preference = new Handle;
    return ok;
}
int cublasLtMatmulPreferenceDestroy(void *preference) {
    delete static_cast<Handle *>(preference);
    return ok;
}
int cublasLtMatmulPreferenceSetAttribute(void *, int, const void *, size_t) {
    SIMULATED(cublasLtMatmulPreferenceSetAttribute)
    return ok;
}
int cublasLtMatmulAlgoGetHeuristic(
    void *, void *, void *, void *, void *, void *, void *, int wanted, void *results, int *count) {
    SIMULATED(cublasLtMatmulAlgoGetHeuristic)
    // 96 bytes each: algorithm, workspace, state, waves.
    *count = wanted < 2 ? wanted : 2;
    memset(results, 0, static_cast<size_t>(*count) * 96);
    return ok;
}
int cublasLtMatmul(
    void *, void *description, const void *alpha, const void *a, void *a_layout, const void *b, void *b_layout,
    const void *beta, const void *c, void *, void *d, void *d_layout, const void *, void *, size_t, void *stream) {
    SIMULATED(cublasLtMatmul)
    if (c != d) return not_supported;
    const auto &transposes = static_cast<Description *>(description)->transposes;
    auto matrix = [](const void *base, void *layout) {
        const auto &known = *static_cast<Layout *>(layout);
        return Matrix{
            const_cast<void *>(base), known.type, known.leading, static_cast<int64_t>(known.rows),
            static_cast<int64_t>(known.columns)};
    };
    Matrix x = matrix(a, a_layout), y = matrix(b, b_layout), z = matrix(d, d_layout);
    int64_t k = transposes[0] ? x.rows : x.columns;
    if ((transposes[1] ? y.columns : y.rows) != k) return invalid_value;
    return put_product(
        stream, transposes[0], transposes[1], z.rows, z.columns, k, *static_cast<const float *>(alpha), x, y,
        *static_cast<const float *>(beta), z);
}

int nvmlInit_v2(void) {
    SIMULATED(nvmlInit_v2)
    return ok;
}
int nvmlSystemGetDriverVersion(char *version, unsigned length) {
    SIMULATED(nvmlSystemGetDriverVersion)
    snprintf(version, length, "580.0");
    return ok;
}
// A device is its number among all of the machine, counted from 1: NVML knows nothing of CUDA_VISIBLE_DEVICES.
int nvmlDeviceGetHandleByUUID(const char *uuid, void **device) {
    SIMULATED(nvmlDeviceGetHandleByUUID)
    for (int place = 1; place <= static_cast<int>(setting("PBCTL_SIMULATOR_DEVICES", 1)); place++) {
        char known[64];
        snprintf(
            known, sizeof known, "GPU-%1$02x%1$02x%1$02x%1$02x-%1$02x%1$02x-%1$02x%1$02x-%1$02x%1$02x-"
            "%1$02x%1$02x%1$02x%1$02x%1$02x%1$02x", static_cast<unsigned>(place));
        if (strcmp(uuid, known) != 0) continue;
        *device = reinterpret_cast<void *>(static_cast<uintptr_t>(place));
        return ok;
    }
    return nvml_not_found;
}
int nvmlDeviceGetUtilizationRates(void *device, unsigned *rates) {
    SIMULATED(nvmlDeviceGetUtilizationRates)
    int place = static_cast<int>(reinterpret_cast<uintptr_t>(device)) - 1;
    rates[0] = static_cast<unsigned>(setting("PBCTL_SIMULATOR_UTILIZATION", place, 50));
    rates[1] = rates[0] / 2;
    return ok;
}
int nvmlDeviceGetMemoryInfo(void *, unsigned long long *memory) {
    SIMULATED(nvmlDeviceGetMemoryInfo)
    uint64_t total = setting("PBCTL_SIMULATOR_MEMORY", 1 << 30), used = machine().used_bytes;
    memory[0] = total;
    memory[1] = total - used;
    memory[2] = used;
    return ok;
}

}
