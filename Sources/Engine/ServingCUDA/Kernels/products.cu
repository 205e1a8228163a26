// Products of a few rows with a weight, which are as fast as the weight can be read: each element is read once, in
// words of 16 bytes.
#include "device.cuh"

// out[t] (+)= W x[t] for ROWS rows; W is (outputs, inputs), inputs a multiple of 8, and all rows begin at whole 16
// bytes. A warp an output, blocks of 8 warps.
template <int ROWS>
__device__ __forceinline__ void multiply_rows(
    const ELEMENT *weight, int weight_stride, const ELEMENT *x, int x_stride, float *out, int out_stride, int inputs,
    int outputs, int adds) {
    int lane = threadIdx.x % 32, o = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
    if (o >= outputs) return;
    const ELEMENT *own = weight + (long long)o * weight_stride;
    float sums[ROWS] = {};
#pragma unroll 4
    for (int i = lane * 8; i < inputs; i += 256) {
        float w[8];
        load_eight(own + i, w);
#pragma unroll
        for (int t = 0; t < ROWS; t++) {
            float values[8];
            load_eight(x + (long long)t * x_stride + i, values);
            for (int j = 0; j < 8; j++) sums[t] = fmaf(w[j], values[j], sums[t]);
        }
    }
#pragma unroll
    for (int t = 0; t < ROWS; t++) {
        float sum = warp_sum(sums[t]);
        float *to = out + (long long)t * out_stride + o;
        if (lane == 0) *to = adds ? *to + sum : sum;
    }
}

#define MULTIPLY(ROWS)                                                                                                 \
    extern "C" __global__ void __launch_bounds__(256) multiply_##ROWS(                                                 \
        const ELEMENT *weight, int weight_stride, const ELEMENT *x, int x_stride, float *out, int out_stride,          \
        int inputs, int outputs, int adds) {                                                                 \
        multiply_rows<ROWS>(weight, weight_stride, x, x_stride, out, out_stride, inputs, outputs, adds);               \
    }                                                                                                                  \
    PBCTL_EXPORT(multiply_##ROWS)

MULTIPLY(1)
MULTIPLY(2)
MULTIPLY(4)
MULTIPLY(8)
