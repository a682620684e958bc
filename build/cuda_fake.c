// A driver and a cuBLAS that do nothing, or fail as they are told to: what build/cuda-errors runs ppl with.
//
// Memory of the device is the host's, and kernels leave it as it is. FAKE_CUDA=cuInit=100 makes a function answer a
// code; FAKE_CUDA_ALLOCATIONS=n, the allocations after the first n that there is no memory left.

#include <stdlib.h>
#include <string.h>

// The code that a function is to answer, or 0.
static unsigned told(const char *name) {
    const char *given = getenv("FAKE_CUDA");
    size_t length = strlen(name);
    if (!given || strncmp(given, name, length) || given[length] != '=') return 0;
    return (unsigned)atoi(given + length + 1);
}

#ifdef FUNCTIONS
// Every function of a library, unless there is one of that name below.
#define F(name) \
    __attribute__((weak)) unsigned name(void) { return told(#name); }
#include FUNCTIONS
#undef F
#else
unsigned cuInit(unsigned flags) { return (void)flags, told("cuInit"); }

unsigned cuGetErrorString(unsigned error, const char **text) {
    (void)error;
    *text = "as told";
    return 0;
}

unsigned cuDeviceGet(int *device, int ordinal) { return *device = ordinal, told("cuDeviceGet"); }

unsigned cuDeviceGetAttribute(int *value, int attribute, int device) {
    (void)attribute, (void)device;
    return *value = 1, 0;
}

unsigned cuMemAllocAsync(unsigned long long *pointer, size_t bytes, void *stream) {
    static long allocations;
    const char *most = getenv("FAKE_CUDA_ALLOCATIONS");
    (void)stream;
    if (most && ++allocations > atol(most)) return 2;  // CUDA_ERROR_OUT_OF_MEMORY
    *pointer = (unsigned long long)(size_t)calloc(bytes ? bytes : 1, 1);
    return 0;
}

unsigned cuMemFreeAsync(unsigned long long pointer, void *stream) {
    (void)stream;
    free((void *)(size_t)pointer);
    return 0;
}

static unsigned copied(void *to, const void *from, size_t bytes) {
    memcpy(to, from, bytes);
    return 0;
}

unsigned cuMemcpyHtoDAsync_v2(unsigned long long to, const void *from, size_t bytes) {
    return copied((void *)(size_t)to, from, bytes);
}

unsigned cuMemcpyDtoHAsync_v2(void *to, unsigned long long from, size_t bytes) {
    return copied(to, (void *)(size_t)from, bytes);
}

unsigned cuMemcpyDtoDAsync_v2(unsigned long long to, unsigned long long from, size_t bytes) {
    return copied((void *)(size_t)to, (void *)(size_t)from, bytes);
}
#endif
