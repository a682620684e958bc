// NVIDIA's libraries, looked for when the program first asks for a GPU instead of when it starts.
//
// build/cuda compiles this once for each library, with LIBRARY as one of DRIVER, CUBLAS and NVRTC and FUNCTIONS as
// the file with a line F(name) for each of its functions, and links it in the library's place. A function is a jump
// to where `cuInit`, which every program calls first, found it; before that, and where there is no such library, it
// answers that the library is not initialised.

#include <dlfcn.h>
#include <stddef.h>

#define DRIVER 1
#define CUBLAS 2
#define NVRTC 3

#if LIBRARY == DRIVER
#define NAMES {"libcuda.so.1", NULL}
#define LOAD lazy_load_driver
enum { ABSENT = 3 };  // CUDA_ERROR_NOT_INITIALIZED
#elif LIBRARY == CUBLAS
#define NAMES {"libcublas.so.13", "libcublas.so.12", NULL}
#define LOAD lazy_load_cublas
enum { ABSENT = 1 };  // CUBLAS_STATUS_NOT_INITIALIZED
#else
#define NAMES {"libnvrtc.so.13", "libnvrtc.so.12", NULL}
#define LOAD lazy_load_nvrtc
enum { ABSENT = 11 };  // NVRTC_ERROR_INTERNAL_ERROR
#endif

static unsigned absent(void) { return ABSENT; }

#if defined(__x86_64__)
#define JUMP(target) "jmp *" target "(%rip)\n"
#elif defined(__aarch64__)
#define JUMP(target) "adrp x16, " target "\nldr x16, [x16, :lo12:" target "]\nbr x16\n"
#else
#error "no jump for this processor"
#endif

#define F(name)                                                                          \
    __attribute__((visibility("hidden"))) void *lazy_##name = (void *)absent;            \
    __asm__(".pushsection .text\n.globl " #name "\n.type " #name ",%function\n"          \
            #name ":\n" JUMP("lazy_" #name) ".size " #name ",.-" #name "\n.popsection\n");
#include FUNCTIONS
#undef F

static const struct { const char *name; void **target; } functions[] = {
#define F(name) {#name, &lazy_##name},
#include FUNCTIONS
#undef F
};

// Looks for the library and its functions; whether it is there.
int LOAD(void) {
    static const char *const names[] = NAMES;
    void *library = NULL;
    for (size_t i = 0; !library && names[i]; i++) library = dlopen(names[i], RTLD_NOW);
    if (!library) return 0;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        void *found = dlsym(library, functions[i].name);
        if (found) *functions[i].target = found;
    }
    return 1;
}

#if LIBRARY == DRIVER
int lazy_load_cublas(void);
int lazy_load_nvrtc(void);

static void *real(const char *name) {
    void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
    return library ? dlsym(library, name) : NULL;
}

unsigned cuInit(unsigned flags) {
    static int loaded;
    if (!loaded) {
        if (!LOAD()) return 34;  // CUDA_ERROR_STUB_LIBRARY
        lazy_load_cublas();
        lazy_load_nvrtc();
        loaded = 1;
    }
    unsigned (*init)(unsigned) = (unsigned (*)(unsigned))real("cuInit");
    return init ? init(flags) : 34;
}

// What the bindings ask for the text of any error, this one included.
unsigned cuGetErrorString(unsigned error, const char **text) {
    unsigned (*string)(unsigned, const char **) =
        (unsigned (*)(unsigned, const char **))real("cuGetErrorString");
    if (string) return string(error, text);
    *text = "no NVIDIA driver";
    return 0;
}
#endif
