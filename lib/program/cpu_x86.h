/* SPDX-License-Identifier: BSD-3-Clause */
/* By the cpuid instruction, which also answers in a sandbox without /proc. A vector extension counts only
   where the operating system saves its registers: the mask of XCR0 that it needs. */
#ifndef FM_PROGRAM_CPU_X86_H
#define FM_PROGRAM_CPU_X86_H

#include <cpuid.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { FM_PROGRAM_EAX, FM_PROGRAM_EBX, FM_PROGRAM_ECX, FM_PROGRAM_EDX };
enum { FM_PROGRAM_AVX = 0x6, FM_PROGRAM_AVX512 = 0xe6, FM_PROGRAM_AMX = 0x60000 };

struct fm_program_cpu_feature {
    const char *name; /* as Linux has it */
    uint32_t leaf, subleaf;
    unsigned char reg, bit;
    uint64_t xcr0;
};

/* Sorted by name. */
static const struct fm_program_cpu_feature fm_program_cpu_features[] = {
    {"abm", 0x80000001, 0, FM_PROGRAM_ECX, 5, 0},
    {"adx", 7, 0, FM_PROGRAM_EBX, 19, 0},
    {"aes", 1, 0, FM_PROGRAM_ECX, 25, 0},
    {"amx_bf16", 7, 0, FM_PROGRAM_EDX, 22, FM_PROGRAM_AMX},
    {"amx_fp16", 7, 1, FM_PROGRAM_EAX, 21, FM_PROGRAM_AMX},
    {"amx_int8", 7, 0, FM_PROGRAM_EDX, 25, FM_PROGRAM_AMX},
    {"amx_tile", 7, 0, FM_PROGRAM_EDX, 24, FM_PROGRAM_AMX},
    {"avx", 1, 0, FM_PROGRAM_ECX, 28, FM_PROGRAM_AVX},
    {"avx2", 7, 0, FM_PROGRAM_EBX, 5, FM_PROGRAM_AVX},
    {"avx512_bf16", 7, 1, FM_PROGRAM_EAX, 5, FM_PROGRAM_AVX512},
    {"avx512_bitalg", 7, 0, FM_PROGRAM_ECX, 12, FM_PROGRAM_AVX512},
    {"avx512_fp16", 7, 0, FM_PROGRAM_EDX, 23, FM_PROGRAM_AVX512},
    {"avx512_vbmi2", 7, 0, FM_PROGRAM_ECX, 6, FM_PROGRAM_AVX512},
    {"avx512_vnni", 7, 0, FM_PROGRAM_ECX, 11, FM_PROGRAM_AVX512},
    {"avx512_vp2intersect", 7, 0, FM_PROGRAM_EDX, 8, FM_PROGRAM_AVX512},
    {"avx512_vpopcntdq", 7, 0, FM_PROGRAM_ECX, 14, FM_PROGRAM_AVX512},
    {"avx512bw", 7, 0, FM_PROGRAM_EBX, 30, FM_PROGRAM_AVX512},
    {"avx512cd", 7, 0, FM_PROGRAM_EBX, 28, FM_PROGRAM_AVX512},
    {"avx512dq", 7, 0, FM_PROGRAM_EBX, 17, FM_PROGRAM_AVX512},
    {"avx512f", 7, 0, FM_PROGRAM_EBX, 16, FM_PROGRAM_AVX512},
    {"avx512ifma", 7, 0, FM_PROGRAM_EBX, 21, FM_PROGRAM_AVX512},
    {"avx512vbmi", 7, 0, FM_PROGRAM_ECX, 1, FM_PROGRAM_AVX512},
    {"avx512vl", 7, 0, FM_PROGRAM_EBX, 31, FM_PROGRAM_AVX512},
    {"avx_ifma", 7, 1, FM_PROGRAM_EAX, 23, FM_PROGRAM_AVX},
    {"avx_ne_convert", 7, 1, FM_PROGRAM_EDX, 5, FM_PROGRAM_AVX},
    {"avx_vnni", 7, 1, FM_PROGRAM_EAX, 4, FM_PROGRAM_AVX},
    {"avx_vnni_int16", 7, 1, FM_PROGRAM_EDX, 10, FM_PROGRAM_AVX},
    {"avx_vnni_int8", 7, 1, FM_PROGRAM_EDX, 4, FM_PROGRAM_AVX},
    {"bmi1", 7, 0, FM_PROGRAM_EBX, 3, 0},
    {"bmi2", 7, 0, FM_PROGRAM_EBX, 8, 0},
    {"cx16", 1, 0, FM_PROGRAM_ECX, 13, 0},
    {"f16c", 1, 0, FM_PROGRAM_ECX, 29, FM_PROGRAM_AVX},
    {"fma", 1, 0, FM_PROGRAM_ECX, 12, FM_PROGRAM_AVX},
    {"fma4", 0x80000001, 0, FM_PROGRAM_ECX, 16, FM_PROGRAM_AVX},
    {"gfni", 7, 0, FM_PROGRAM_ECX, 8, 0},
    {"lahf_lm", 0x80000001, 0, FM_PROGRAM_ECX, 0, 0},
    {"movbe", 1, 0, FM_PROGRAM_ECX, 22, 0},
    {"pclmulqdq", 1, 0, FM_PROGRAM_ECX, 1, 0},
    {"popcnt", 1, 0, FM_PROGRAM_ECX, 23, 0},
    {"sha512", 7, 1, FM_PROGRAM_EAX, 0, FM_PROGRAM_AVX},
    {"sha_ni", 7, 0, FM_PROGRAM_EBX, 29, 0},
    {"sm3", 7, 1, FM_PROGRAM_EAX, 1, FM_PROGRAM_AVX},
    {"sm4", 7, 1, FM_PROGRAM_EAX, 2, FM_PROGRAM_AVX},
    {"sse3", 1, 0, FM_PROGRAM_ECX, 0, 0},
    {"sse4_1", 1, 0, FM_PROGRAM_ECX, 19, 0},
    {"sse4_2", 1, 0, FM_PROGRAM_ECX, 20, 0},
    {"sse4a", 0x80000001, 0, FM_PROGRAM_ECX, 6, 0},
    {"ssse3", 1, 0, FM_PROGRAM_ECX, 9, 0},
    {"tbm", 0x80000001, 0, FM_PROGRAM_ECX, 21, 0},
    {"vaes", 7, 0, FM_PROGRAM_ECX, 9, FM_PROGRAM_AVX},
    {"vpclmulqdq", 7, 0, FM_PROGRAM_ECX, 10, FM_PROGRAM_AVX},
    {"xop", 0x80000001, 0, FM_PROGRAM_ECX, 11, FM_PROGRAM_AVX},
};

static inline uint64_t fm_program_cpu_xcr0(void)
{
    unsigned a;
    unsigned b;
    unsigned c;
    unsigned d;
    if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & bit_OSXSAVE) == 0)
        return 0;
    unsigned low;
    unsigned high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static inline int fm_program_cpu_has(const struct fm_program_cpu_feature *feature, uint64_t xcr0)
{
    unsigned r[4];
    if (__get_cpuid_count(feature->leaf, feature->subleaf, &r[0], &r[1], &r[2], &r[3]) == 0)
        return 0;
    return (r[feature->reg] >> feature->bit & 1u) != 0 && (feature->xcr0 & ~xcr0) == 0;
}

static inline void fm_program_cpu(char *text, size_t bytes)
{
    const uint64_t xcr0 = fm_program_cpu_xcr0();
    const size_t rows = sizeof fm_program_cpu_features / sizeof *fm_program_cpu_features;
    size_t length = 0;
    for (size_t i = 0; i < rows; i++) {
        const char *name = fm_program_cpu_features[i].name;
        const size_t more = strlen(name);
        if (!fm_program_cpu_has(&fm_program_cpu_features[i], xcr0) || length + more + 2 > bytes)
            continue;
        if (length > 0)
            text[length++] = ' ';
        memcpy(text + length, name, more);
        length += more;
    }
    text[length] = '\0';
}

#endif
