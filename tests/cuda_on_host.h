// Lets g++ compile CUDA C++ kernels, and runs them on the CPU: for tests on machines without a GPU.
//
// Every CUDA thread is a fiber with a stack of its own. A fiber runs until it waits at a barrier or
// returns; then the next one that can go on does. Blocks run one after another on the same fibers.
// tests/host_kernels.py compiles kernels with this header and calls them.
//
// Made to find mistakes rather than to be quick:
// - Shared memory is all NaN when a block starts, and reads of lanes that are not there give NaN.
// - Threads and blocks run forward, in reverse or at random, or warps rush ahead of each other. A
//   kernel with a barrier missing gives NaN, or other results in another order.
// - A barrier that some threads never reach is an error that names it, not a hang. Threads that
//   have returned do count as missing, although newer devices forgive that.
// - What depends on order or on the device's approximations is left out, and so does not compile:
//   atomicAdd on float, __expf, rsqrtf and the like. So is extern __shared__.
// - AddressSanitizer and UBSan work, and name the line of the .cu file.
//
// Not seen here: a forgotten __threadfence, races that no order of whole fibers shows, bank
// conflicts, registers. The limit of 48 KiB of shared memory per kernel is left to the compile
// test with NVRTC: all kernels' variables are in one section, and a helper's could be anyone's.

// The C names, not <cmath>: CUDA has abs(float) and sqrt(float) outside of std as well.
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <numeric>
#include <tuple>
#include <type_traits>
#include <utility>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

// --- the language --------------------------------------------------------------------------------

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __grid_constant__
#define __launch_bounds__(...)  // host_kernels.py reads it
// "used": g++ may not conclude that an array which no line writes is all zeros.
#define __shared__ static __attribute__((section("cu_shared"), used))

struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};

// Not static: g++ has to assume that a switch of fibers, a call to it, changes them.
dim3 threadIdx, blockIdx, blockDim, gridDim;
constexpr int warpSize = 32;

// --- fibers --------------------------------------------------------------------------------------

// The linker's names for the ends of the section; null if no kernel has shared memory.
extern char __start_cu_shared[] __attribute__((weak, visibility("hidden")));
extern char __stop_cu_shared[] __attribute__((weak, visibility("hidden")));

namespace cuda_on_host {

constexpr unsigned MOST_THREADS = 1024;
constexpr unsigned HOST = MOST_THREADS;  // the fiber that was there before: the caller of launch()
#ifdef __SANITIZE_ADDRESS__
constexpr size_t STACK = 256 << 10;
#else
constexpr size_t STACK = 64 << 10;
#endif

enum class State : unsigned char { ready, at_block_barrier, at_warp_barrier, returned };
enum class Order { forward, reverse, random, rushing };

struct Place {  // a barrier in the source
    const char* what;
    const char* file;
    int line;
};

struct Fiber {
    void* left_at[5];  // of __builtin_setjmp
    char* stack;       // null: not started yet
    dim3 index;
    Place place;  // the barrier that it waits at, or met last
    // Brought to a warp barrier: the lanes that have to come, a value, the lane whose value to get.
    unsigned mask, source;
    uint64_t value;
    // Taken from it: that lane's value, and the lanes whose values are not 0.
    uint64_t received;
    unsigned votes;
    // AddressSanitizer's.
    void* fake_stack;
    const void* bottom;
    size_t size;
};

Fiber fibers[MOST_THREADS + 1];
State states[MOST_THREADS];  // apart from the fibers: it is searched often
unsigned running = HOST, previous = HOST;
unsigned threads;                                  // of the block
unsigned ready;                                    // how many threads are State::ready
unsigned at_block_barrier;                         // how many wait there
unsigned at_warp_barrier[MOST_THREADS / warpSize];  // which lanes wait there
unsigned turns[MOST_THREADS], turn;                // the threads' order, and where we are in it
Order order;
uint64_t random_state;
void (*body)(void*);
void* body_argument;
char failure[512];

inline uint64_t random_number() {  // splitmix64: any seed will do
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

inline void just_arrived() {
#ifdef __SANITIZE_ADDRESS__
    Fiber& from = fibers[previous];
    __sanitizer_finish_switch_fiber(fibers[running].fake_stack, &from.bottom, &from.size);
#endif
}

inline unsigned next_ready() {
    if (ready == 0) return HOST;
    if (order == Order::rushing && running != HOST) {  // a warp goes as far as it can by itself
        const unsigned first = running - running % warpSize;
        for (unsigned i = first; i < first + warpSize && i < threads; ++i)
            if (states[i] == State::ready) return i;
    }
    for (;;) {
        if (++turn >= threads) {
            turn = 0;
            for (unsigned i = threads - 1; order == Order::random && i > 0; --i) {
                const unsigned j = random_number() % (i + 1), kept = turns[i];
                turns[i] = turns[j];
                turns[j] = kept;
            }
        }
        if (states[turns[turn]] == State::ready) return turns[turn];
    }
}

inline void start(Fiber& fiber);

// Not in switch_to(): who leaves by __builtin_longjmp must not be who comes back by it.
[[noreturn, gnu::noinline]] void go_to(unsigned next) {
    Fiber& there = fibers[next];
    previous = running;
    running = next;
    threadIdx = there.index;
    if (next != HOST && !there.stack) start(there);
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(&fibers[previous].fake_stack, there.bottom, there.size);
#endif
    __builtin_longjmp(there.left_at, 1);
}

[[gnu::noinline]] void switch_to(unsigned next) {
    if (next == running) return;
    if (__builtin_setjmp(fibers[running].left_at) == 0) go_to(next);
    just_arrived();
}

void fiber_main() {
    just_arrived();
    for (;;) {  // once for each block: a start costs more than a switch
        body(body_argument);
        states[running] = State::returned;
        --ready;
        switch_to(next_ready());
    }
}

// makecontext() alone gives a fiber its stack; the compiler's own setjmp switches between them.
[[noreturn]] void start_context(Fiber& fiber) {
    static ucontext_t context;  // static: nobody comes back to this frame to tidy up for ASan
    getcontext(&context);
    context.uc_stack.ss_sp = fiber.stack;
    context.uc_stack.ss_size = STACK;
    context.uc_link = nullptr;
    makecontext(&context, fiber_main, 0);
    setcontext(&context);
    abort();
}

inline void start(Fiber& fiber) {
    fiber.stack = static_cast<char*>(aligned_alloc(64, STACK));
    if (!fiber.stack) abort();
    fiber.fake_stack = nullptr;
    fiber.bottom = fiber.stack;
    fiber.size = STACK;
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(&fibers[previous].fake_stack, fiber.bottom, fiber.size);
#endif
    start_context(fiber);
}

// --- barriers ------------------------------------------------------------------------------------

// Whether thread `i`, which waits, waits for thread `j` (or `j` for it, at another barrier).
inline bool lacks(unsigned i, unsigned j) {
    const Fiber &a = fibers[i], &b = fibers[j];
    // One line is one barrier; CUDA asks that all threads meet at the same.
    const bool met = states[i] == states[j] && a.place.line == b.place.line;
    if (states[i] == State::at_block_barrier) return !met;
    return i / warpSize == j / warpSize && (a.mask >> j % warpSize & 1) &&
           !(met && a.mask == b.mask);
}

// Says which two threads do not meet; the block got stuck.
inline void explain() {
    char said[2][200];
    unsigned pair[2] = {0, 0};
    while (states[pair[0]] == State::returned) ++pair[0];
    while (pair[1] < threads - 1 && !lacks(pair[0], pair[1])) ++pair[1];
    for (int k = 0; k < 2; ++k) {
        const Fiber& f = fibers[pair[k]];
        const int n = snprintf(said[k], sizeof said[k], "thread (%u, %u, %u) ", f.index.x,
                               f.index.y, f.index.z);
        if (states[pair[k]] == State::returned)
            snprintf(said[k] + n, sizeof said[k] - n, "has returned");
        else
            snprintf(said[k] + n, sizeof said[k] - n, "waits at %s, %s:%d", f.place.what,
                     f.place.file, f.place.line);
    }
    snprintf(failure, sizeof failure, "divergent barrier in block (%u, %u, %u): %s; %s", blockIdx.x,
             blockIdx.y, blockIdx.z, said[0], said[1]);
}

inline void release(unsigned thread) {
    states[thread] = State::ready;
    ++ready;
}

inline void wait_for_block(Place place) {
    fibers[running].place = place;
    states[running] = State::at_block_barrier;
    --ready;
    if (++at_block_barrier == threads) {
        bool met = true;
        for (unsigned i = 0; i < threads; ++i) met &= !lacks(running, i);
        if (met) {  // else nobody is released, and run_block() will explain
            for (unsigned i = 0; i < threads; ++i) release(i);
            at_block_barrier = 0;
        }
    }
    switch_to(next_ready());  // the last to come gets no head start
}

// The lanes in `mask` meet; each gives `value` and receives that of lane `source`.
inline const Fiber& wait_for_warp(Place place, unsigned mask, uint64_t value, unsigned source) {
    Fiber& me = fibers[running];
    const unsigned lane = running % warpSize, first = running - lane;
    unsigned& waiting = at_warp_barrier[running / warpSize];
    const unsigned lanes = threads - first;  // a block's last warp may be short
    me.place = place;
    me.mask = lanes < warpSize ? mask & ((1u << lanes) - 1) : mask;
    me.value = value;
    me.source = source;
    if (!(me.mask >> lane & 1)) {
        snprintf(failure, sizeof failure, "thread (%u, %u, %u) is not in its mask %#x: %s, %s:%d",
                 me.index.x, me.index.y, me.index.z, mask, place.what, place.file, place.line);
        switch_to(HOST);
    }
    states[running] = State::at_warp_barrier;
    --ready;
    waiting |= 1u << lane;
    if ((waiting & me.mask) == me.mask) {
        bool met = true;
        unsigned votes = 0;
        for (unsigned i = 0; i < warpSize; ++i)
            if (me.mask >> i & 1) {
                met &= !lacks(running, first + i);
                votes |= unsigned(fibers[first + i].value != 0) << i;
            }
        for (unsigned i = 0; met && i < warpSize; ++i)
            if (me.mask >> i & 1) {
                Fiber& f = fibers[first + i];
                f.received = me.mask >> f.source & 1 ? fibers[first + f.source].value : ~0ull;
                f.votes = votes;
                release(first + i);
            }
        if (met) waiting &= ~me.mask;
    }
    switch_to(next_ready());
    return me;
}

template <class T>
T shuffle(Place place, unsigned mask, T value, unsigned source) {
    static_assert(std::is_arithmetic<T>::value && sizeof(T) >= 4, "CUDA shuffles 4 or 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = wait_for_warp(place, mask, bits, source).received;
    memcpy(&value, &bits, sizeof value);
    return value;
}

// --- launches ------------------------------------------------------------------------------------

// Not memset() under AddressSanitizer, which would mind the red zones between the arrays.
__attribute__((no_sanitize("address", "undefined"))) inline void spoil_shared_memory() {
    if (!__start_cu_shared) return;
#ifdef __SANITIZE_ADDRESS__
    for (volatile char* p = __start_cu_shared; p < __stop_cu_shared; ++p) *p = char(0xff);
#else
    memset(__start_cu_shared, 0xff, __stop_cu_shared - __start_cu_shared);
#endif
}

inline bool run_block() {
    for (unsigned i = 0; i < threads; ++i) states[i] = State::ready;
    ready = threads;
    at_block_barrier = 0;
    memset(at_warp_barrier, 0, sizeof at_warp_barrier);
    turn = threads;
    spoil_shared_memory();
    switch_to(next_ready());  // comes back when no thread can go on
    if (failure[0]) return false;
    for (unsigned i = 0; i < threads; ++i)
        if (states[i] != State::returned) {
            explain();
            return false;
        }
    return true;
}

// A device's limits, and the kernel's own; the message is left in `failure`.
inline bool allowed(const int64_t* grid, const int64_t* block, unsigned bound) {
    constexpr int64_t widest_grid[3] = {2147483647, 65535, 65535};
    constexpr int64_t widest_block[3] = {1024, 1024, 64};
    const auto check = [](const char* what, const int64_t* size, const int64_t* widest) {
        for (int i = 0; i < 3; ++i)
            if (size[i] < 1 || size[i] > widest[i]) {
                snprintf(failure, sizeof failure, "%s.%c is %lld; it must be 1 to %lld", what,
                         "xyz"[i], (long long)size[i], (long long)widest[i]);
                return false;
            }
        return true;
    };
    if (!check("grid", grid, widest_grid) || !check("block", block, widest_block)) return false;
    const long long wanted = block[0] * block[1] * block[2];
    if (wanted > MOST_THREADS)
        snprintf(failure, sizeof failure, "a block of %lld threads; a device's limit is %u", wanted,
                 MOST_THREADS);
    else if (wanted > bound)
        snprintf(failure, sizeof failure, "a block of %lld threads; __launch_bounds__ allows %u",
                 wanted, bound);
    return !failure[0];
}

inline const char* launch(const int64_t* grid, const int64_t* block, unsigned bound, int order_,
                          uint64_t* seed) {
    failure[0] = 0;
    if (!allowed(grid, block, bound)) return failure;
    order = Order(order_);
    random_state = *seed;
    gridDim = {unsigned(grid[0]), unsigned(grid[1]), unsigned(grid[2])};
    blockDim = {unsigned(block[0]), unsigned(block[1]), unsigned(block[2])};
    threads = blockDim.x * blockDim.y * blockDim.z;
    for (unsigned i = 0; i < threads; ++i) {
        fibers[i].index = {i % blockDim.x, i / blockDim.x % blockDim.y,
                           i / (blockDim.x * blockDim.y)};
        turns[i] = order == Order::reverse ? threads - 1 - i : i;
    }
    const uint64_t blocks = uint64_t(gridDim.x) * gridDim.y * gridDim.z;
    uint64_t at = 0, step = 1;  // at random: a step that shares no factor with `blocks` visits all
    if (order == Order::reverse) {
        at = step = blocks - 1;
    } else if (order == Order::random) {
        at = random_number() % blocks;
        do step = 1 + random_number() % blocks;
        while (std::gcd(step, blocks) != 1);
    }
    for (uint64_t done = 0; done < blocks; ++done, at = (at + step) % blocks) {
        blockIdx = {unsigned(at % gridDim.x), unsigned(at / gridDim.x % gridDim.y),
                    unsigned(at / gridDim.x / gridDim.y)};
        if (!run_block()) {  // fibers are stuck half way through it: start anew next time
            for (unsigned i = 0; i < MOST_THREADS; ++i) {
                free(fibers[i].stack);
                fibers[i].stack = nullptr;
            }
            return failure;
        }
    }
    *seed = random_state;
    return nullptr;
}

template <class T>
T load(const void* bytes) {
    static_assert(std::is_trivially_copyable<T>::value, "CUDA copies arguments byte by byte");
    T value;
    memcpy(static_cast<void*>(&value), bytes, sizeof value);
    return value;
}

template <class... A, size_t... I>
const char* call(void (*kernel)(A...), std::index_sequence<I...>, void* const* arguments,
                 unsigned bound, const int64_t* grid, const int64_t* block, int order_,
                 uint64_t* seed) {
    const std::tuple<A...> loaded(load<A>(arguments[I])...);
    auto run = [&] { std::apply(kernel, loaded); };
    body = [](void* p) { (*static_cast<decltype(run)*>(p))(); };
    body_argument = &run;
    return launch(grid, block, bound, order_, seed);
}

template <class... A>
const char* call(void (*kernel)(A...), void* const* arguments, unsigned bound, const int64_t* grid,
                 const int64_t* block, int order_, uint64_t* seed) {
    const std::index_sequence_for<A...> indices;
    return call(kernel, indices, arguments, bound, grid, block, order_, seed);
}

// The parameters' types as NumPy writes them: i4, f4, V24 (a struct of 24 bytes); p, a pointer.
template <class T>
constexpr char kind() {
    if (std::is_pointer<T>::value) return 'p';
    if (std::is_same<T, bool>::value) return 'b';
    if (std::is_floating_point<T>::value) return 'f';
    if (!std::is_integral<T>::value) return 'V';
    return std::is_signed<T>::value ? 'i' : 'u';
}

template <class... A>
const char* signature(void (*)(A...)) {
    static char text[8 * sizeof...(A) + 1];
    [[maybe_unused]] char* end = text;
    ((end += sprintf(end, end == text ? "" : ","),
      end += kind<A>() == 'p' ? sprintf(end, "p") : sprintf(end, "%c%zu", kind<A>(), sizeof(A))),
     ...);
    return text;
}

char left_out_file[64];
int left_out_line;

constexpr unsigned bound(unsigned threads, unsigned = 0, unsigned = 0) { return threads; }

}  // namespace cuda_on_host

// The barrier of this file and line does nothing from now on: a fault for tests to notice.
extern "C" __attribute__((visibility("default"))) void cuda_on_host_without_barrier(const char* file,
                                                                                    int line) {
    snprintf(cuda_on_host::left_out_file, sizeof cuda_on_host::left_out_file, "%s", file);
    cuda_on_host::left_out_line = line;
}

// host_kernels.py adds one per kernel, and `kernel`_bound in front of the kernel itself.
#define CUDA_ON_HOST_EXPORT(kernel) \
    extern "C" __attribute__((visibility("default"))) const char* kernel##_launch( \
        const int64_t* grid, const int64_t* block, void* const* arguments, int order, \
        uint64_t* seed) { \
        return cuda_on_host::call(kernel, arguments, kernel##_bound, grid, block, order, seed); \
    } \
    extern "C" __attribute__((visibility("default"))) const char* kernel##_signature() { \
        return cuda_on_host::signature(kernel); \
    }

// --- what kernels call ---------------------------------------------------------------------------

// As default arguments these two are the caller's file and line, after #line.
#define HERE const char *file = __builtin_FILE(), int line = __builtin_LINE()
#define PLACE cuda_on_host::Place{__func__, file, line}

inline void __syncthreads(HERE) {
    if (line == cuda_on_host::left_out_line && !strcmp(file, cuda_on_host::left_out_file)) return;
    cuda_on_host::wait_for_block(PLACE);
}
inline void __syncwarp(unsigned mask = ~0u, HERE) {
    cuda_on_host::wait_for_warp(PLACE, mask, 0, 0);
}

inline unsigned __ballot_sync(unsigned mask, int predicate, HERE) {
    return cuda_on_host::wait_for_warp(PLACE, mask, predicate != 0, 0).votes;
}
inline int __any_sync(unsigned mask, int predicate, HERE) {
    return cuda_on_host::wait_for_warp(PLACE, mask, predicate != 0, 0).votes != 0;
}
inline int __all_sync(unsigned mask, int predicate, HERE) {
    return cuda_on_host::wait_for_warp(PLACE, mask, predicate == 0, 0).votes == 0;
}

// Whole warps only: without CUDA's last parameter, the width.
template <class T>
T __shfl_sync(unsigned mask, T value, int lane, HERE) {
    return cuda_on_host::shuffle(PLACE, mask, value, lane & 31);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, HERE) {
    return cuda_on_host::shuffle(PLACE, mask, value, (cuda_on_host::running ^ lanes) & 31);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned by, HERE) {
    const unsigned lane = cuda_on_host::running % 32;
    return cuda_on_host::shuffle(PLACE, mask, value, lane + by < 32 ? lane + by : lane);
}

#undef HERE
#undef PLACE

inline void __threadfence() {}
inline void __threadfence_block() {}

template <class T>
T __ldg(const T* p) {
    return *p;
}
template <class T>
T __ldcg(const T* p) {
    return *p;
}

// Fibers switch at barriers only, so plain code is atomic.
#define ATOMICS(T) \
    inline T atomicAdd(T* p, T value) { \
        const T old = *p; \
        __builtin_add_overflow(old, value, p); \
        return old; \
    } \
    inline T atomicMax(T* p, T value) { \
        const T old = *p; \
        *p = old < value ? value : old; \
        return old; \
    } \
    inline T atomicMin(T* p, T value) { \
        const T old = *p; \
        *p = value < old ? value : old; \
        return old; \
    } \
    inline T atomicExch(T* p, T value) { \
        const T old = *p; \
        *p = value; \
        return old; \
    } \
    inline T atomicCAS(T* p, T expected, T value) { \
        const T old = *p; \
        if (old == expected) *p = value; \
        return old; \
    }
ATOMICS(int)
ATOMICS(unsigned)
ATOMICS(unsigned long long)
#undef ATOMICS

#define MAX_MIN(T, A, B) \
    inline T max(A first, B second) { \
        const T a = first, b = second; \
        return a < b ? b : a; \
    } \
    inline T min(A first, B second) { \
        const T a = first, b = second; \
        return b < a ? b : a; \
    }
MAX_MIN(int, int, int)
MAX_MIN(unsigned, unsigned, unsigned)
MAX_MIN(unsigned, int, unsigned)
MAX_MIN(unsigned, unsigned, int)
MAX_MIN(long long, long long, long long)
MAX_MIN(unsigned long long, unsigned long long, unsigned long long)
#undef MAX_MIN
inline float max(float a, float b) { return fmaxf(a, b); }  // of a number and NaN, the number
inline float min(float a, float b) { return fminf(a, b); }
// CUDA has these; in a kernel they are a slip, max(x, 0.0) for max(x, 0.0f).
double max(double, double) = delete;
double max(float, double) = delete;
double max(double, float) = delete;
double min(double, double) = delete;
double min(float, double) = delete;
double min(double, float) = delete;

inline int __float_as_int(float f) { return __builtin_bit_cast(int, f); }
inline unsigned __float_as_uint(float f) { return __builtin_bit_cast(unsigned, f); }
inline float __int_as_float(int i) { return __builtin_bit_cast(float, i); }
inline float __uint_as_float(unsigned u) { return __builtin_bit_cast(float, u); }

// The compiler's flags keep these from being fused.
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __frcp_rn(float a) { return 1.0f / a; }
inline float __fsqrt_rn(float a) { return sqrtf(a); }

// Conversions saturate; NaN gives 0, or the top bit in 64 bits.
inline int __float2int_rd(float f) {
    f = floorf(f);
    return f != f ? 0 : f >= 0x1p31f ? 0x7fffffff : f < -0x1p31f ? int(0x80000000u) : int(f);
}
inline unsigned __float2uint_rn(float f) {
    f = rintf(f);
    return !(f > 0) ? 0 : f >= 0x1p32f ? ~0u : unsigned(f);
}
inline unsigned long long __float2ull_rn(float f) {
    f = rintf(f);
    if (f != f) return 1ull << 63;
    return f < 0 ? 0 : f >= 0x1p64f ? ~0ull : (unsigned long long)f;
}

inline int __popc(unsigned x) { return __builtin_popcount(x); }

inline unsigned __dp4a(unsigned a, unsigned b, unsigned sum) {
    for (int shift = 0; shift < 32; shift += 8) sum += (a >> shift & 255) * (b >> shift & 255);
    return sum;
}

// Bytes of y:x, chosen by the nibbles of `selector`; a nibble's top bit spreads the byte's sign.
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
    const uint64_t both = uint64_t(y) << 32 | x;
    unsigned result = 0;
    for (int i = 0; i < 4; ++i) {
        const unsigned nibble = selector >> 4 * i & 15, byte = both >> 8 * (nibble & 7) & 255;
        result |= (nibble < 8 ? byte : byte >> 7 ? 255u : 0u) << 8 * i;
    }
    return result;
}

inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
    return unsigned((uint64_t(high) << 32 | low) >> (shift & 31));
}

#define VECTORS(T, name) \
    struct alignas(2 * sizeof(T)) name##2 { \
        T x, y; \
    }; \
    struct alignas(4 * sizeof(T)) name##4 { \
        T x, y, z, w; \
    }; \
    inline name##2 make_##name##2(T x, T y) { return {x, y}; } \
    inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
VECTORS(unsigned char, uchar)
VECTORS(int, int)
VECTORS(unsigned, uint)
VECTORS(float, float)
#undef VECTORS
