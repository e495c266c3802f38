/* Whether this CPU can run code that was compiled for a target. Compiled for the architecture's
 * oldest CPU, with one of
 *
 *   -DITTISAL_X86_LEVEL=2 to 5       x86-64-v2, -v3, -v4, and -v4 with VBMI
 *   -DITTISAL_ARM_CORE=0             aarch64, any core
 *   -DITTISAL_ARM_CORE=0xd03         cortex-a53; 0xd08 is cortex-a72, 0xd0b is cortex-a76
 *
 * The compilers' __builtin_cpu_supports("x86-64-v3") is not used: it says no under `zig cc`.
 */

/* 0 if it cannot; otherwise how well the code fits, to find the best of several libraries: the
 * level of x86; for ARM 4 for code for this very core, 3 for a cortex-a76's on another core that
 * has its instructions, 2 for any core's, 1 for a cortex-a53's or -a72's on another core.
 */
int ittisal_supported(void);

#if defined(ITTISAL_X86_LEVEL)

#include <cpuid.h>

#define BIT(n) (1u << (n))

int ittisal_supported(void) {
    /* What a level adds, by register of CPUID's leaves 1, 7 and 0x80000001; and what of a thread's
     * registers the system has to save: 128, 256 and 512 bits. */
    static const struct {
        unsigned c1, b7, c7, c8, saved;
    } levels[] = {
        /* SSE3, SSSE3, CMPXCHG16B, SSE4.1, SSE4.2, POPCNT; LAHF */
        {BIT(0) | BIT(9) | BIT(13) | BIT(19) | BIT(20) | BIT(23), 0, 0, BIT(0), 0},
        /* FMA, MOVBE, OSXSAVE, AVX, F16C; BMI1, AVX2, BMI2; LZCNT */
        {BIT(12) | BIT(22) | BIT(27) | BIT(28) | BIT(29), BIT(3) | BIT(5) | BIT(8), 0, BIT(5), 0x6},
        /* AVX-512: F, DQ, CD, BW, VL */
        {0, BIT(16) | BIT(17) | BIT(28) | BIT(30) | BIT(31), 0, 0, 0xe6},
        /* AVX-512: VBMI */
        {0, 0, BIT(1), 0, 0},
    };
    unsigned a, b, c, d, b7 = 0, c7 = 0, c1 = 0, c8 = 0, saved = 0;
    int level;
    if (__get_cpuid(1, &a, &b, &c, &d)) c1 = c;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) b7 = b, c7 = c;
    if (__get_cpuid(0x80000001, &a, &b, &c, &d)) c8 = c;
    if (c1 & BIT(27)) __asm__ volatile("xgetbv" : "=a"(saved), "=d"(d) : "c"(0));
    for (level = 2; level <= ITTISAL_X86_LEVEL; level++) {
        if (~c1 & levels[level - 2].c1 || ~b7 & levels[level - 2].b7 ||
            ~c7 & levels[level - 2].c7 || ~c8 & levels[level - 2].c8 ||
            ~saved & levels[level - 2].saved)
            return 0;
    }
    return ITTISAL_X86_LEVEL;
}

#elif defined(ITTISAL_ARM_CORE)

#if defined(__linux__)

#include <sys/auxv.h>

/* Linux's names of bits of AT_HWCAP: see asm/hwcap.h. */
enum {
    CRC32 = 1 << 7,
    ATOMICS = 1 << 8,
    FPHP = 1 << 9,
    ASIMDHP = 1 << 10,
    CPUID = 1 << 11,
    ASIMDRDM = 1 << 12,
    LRCPC = 1 << 15,
    ASIMDDP = 1 << 20,
    A76 = CRC32 | ATOMICS | FPHP | ASIMDHP | ASIMDRDM | LRCPC | ASIMDDP
};

int ittisal_supported(void) {
    unsigned long has = getauxval(AT_HWCAP), midr = 0;
    if (ITTISAL_ARM_CORE == 0xd0b && (has & A76) != A76) return 0;
    if (ITTISAL_ARM_CORE == 0) return 2;
    if (has & CPUID) __asm__("mrs %0, midr_el1" : "=r"(midr)); /* Linux answers for the core */
    if (midr >> 24 == 0x41 && (midr >> 4 & 0xfff) == ITTISAL_ARM_CORE) return 4;
    return ITTISAL_ARM_CORE == 0xd0b ? 3 : 1;
}

#else

int ittisal_supported(void) {
    return ITTISAL_ARM_CORE == 0 ? 2 : 0; /* no other system is asked what its core has */
}

#endif

#else
#error "define ITTISAL_X86_LEVEL or ITTISAL_ARM_CORE"
#endif
