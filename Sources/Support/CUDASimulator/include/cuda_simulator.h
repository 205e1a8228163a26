/// A GPU that is not there: the symbols of NVIDIA's driver, cuBLAS, NVRTC and NVML in one shared library, for tests.
///
/// The program opens it as it opens the real libraries, through links with their names. Device memory is host memory
/// between inaccessible pages; kernels are compiled for the processor by a host compiler and run thread by thread; work
/// on a stream happens as late as the real driver allows, so that a missing wait shows in the results.
///
/// | variable | |
/// |---|---|
/// | PBCTL_SIMULATOR_CXX | the compiler of kernels (default: clang++, else g++) |
/// | PBCTL_SIMULATOR_MEMORY | bytes of device memory (default: 1 GiB) |
/// | PBCTL_SIMULATOR_DEVICES | how many devices there are (default: 1) |
/// | PBCTL_SIMULATOR_MULTIPROCESSORS | of a device (default: 4) |
/// | CUDA_VISIBLE_DEVICES | numbers of those that CUDA shows, in their order (default: all) |
/// | PBCTL_SIMULATOR_NAME | what the devices are called (default: Simulated GPU) |
/// | PBCTL_SIMULATOR_CAPABILITY | compute capability (default: 90), or one for each device: 75,90 |
/// | PBCTL_SIMULATOR_UTILIZATION | percent of the time that kernels run, for NVML (default: 50), or one for each |
/// | PBCTL_SIMULATOR_DRIVER | CUDA version that the driver knows (default: 13000) |
/// | PBCTL_SIMULATOR_ORDER | order of blocks and warps: forward, reverse or a number that seeds a random one |
/// | PBCTL_SIMULATOR_FAIL | SYMBOL:COUNT:ERROR, the call of a function that fails, counted from 1; -9 is SIGKILL |
/// | PBCTL_SIMULATOR_REPORT | a file that gets the counts at the end, a name and a number a line |
///
/// All but the compiler and the report may also be set while it runs, which goes before the environment.
#ifndef CUDA_SIMULATOR_H
#define CUDA_SIMULATOR_H

#ifdef __cplusplus
extern "C" {
#endif

/// Sets a variable for the simulator alone; a null value takes it back. Counts of calls start anew.
void cuda_simulator_set(const char *name, const char *value);

/// Forgets that the device failed.
void cuda_simulator_repair(void);

#ifdef __cplusplus
}
#endif

#endif
