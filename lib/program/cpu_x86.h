/* SPDX-License-Identifier: BSD-3-Clause */
/* By the cpuid instruction, which also answers in a sandbox without /proc. A vector extension counts only
   where the operating system saves its registers: the mask of XCR0 that it needs. */
#ifndef FM_PROGRAM_CPU_X86_H
#define FM_PROGRAM_CPU_X86_H

#include <cpuid.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Each leaf is read once: on a virtual machine the instruction takes 20 us or more. */
enum {
    FM_PROGRAM_LEAF_1,
    FM_PROGRAM_LEAF_7,
    FM_PROGRAM_LEAF_7_1,
    FM_PROGRAM_LEAF_AMD,
    FM_PROGRAM_LEAVES
};
static const struct {
    uint32_t leaf, subleaf;
} fm_program_cpu_leaves[FM_PROGRAM_LEAVES] = {{1, 0}, {7, 0}, {7, 1}, {0x80000001, 0}};

enum { FM_PROGRAM_EAX, FM_PROGRAM_EBX, FM_PROGRAM_ECX, FM_PROGRAM_EDX };
enum { FM_PROGRAM_AVX = 0x6, FM_PROGRAM_AVX512 = 0xe6, FM_PROGRAM_AMX = 0x60000 };

struct fm_program_cpu_feature {
    const char *name; /* as Linux has it */
    unsigned char leaf, reg, bit;
    uint64_t xcr0;
};

/* Sorted by name. "pni" is SSE3. */
static const struct fm_program_cpu_feature fm_program_cpu_features[] = {
    {"abm", FM_PROGRAM_LEAF_AMD, FM_PROGRAM_ECX, 5, 0},
    {"adx", FM_PROGRAM_LEAF_7, FM_PROGRAM_EBX, 19, 0},
    {"aes", FM_PROGRAM_LEAF_1, FM_PROGRAM_ECX, 25, 0},
    {"amx_bf16", FM_PROGRAM_LEAF_7, FM_PROGRAM_EDX, 22, FM_PROGRAM_AMX},
    {"amx_fp16", FM_PROGRAM_LEAF_7_1, FM_PROGRAM_EAX, 21, FM_PROGRAM_AMX},
    {"amx_int8", FM_PROGRAM_LEAF_7, FM_PROGRAM_EDX, 25, FM_PROGRAM_AMX},
    {"amx_tile", FM_PROGRAM_LEAF_7, FM_PROGRAM_EDX, 24, FM_PROGRAM_AMX},
    {"avx", FM_PROGRAM_LEAF_1, FM_PROGRAM_ECX, 28, FM_PROGRAM_AVX},
    {"avx2", FM_PROGRAM_LEAF_7, FM_PROGRAM_EBX, 5, FM_PROGRAM_AVX},
    {"avx512_bf16", FM_PROGRAM_LEAF_7_1, FM_PROGRAM_EAX, 5, FM_PROGRAM_AVX512},
    {"avx512_bitalg", FM_PROGRAM_LEAF_7, FM_PROGRAM_ECX, 12, FM_PROGRAM_AVX512},
    {"avx512_fp16", FM_PROGRAM_LEAF_7, FM_PROGRAM_EDX, 23, FM_PROGRAM_AVX512},
    {"avx512_vbmi2", FM_PROGRAM_LEAF_7, FM_PROGRAM_ECX, 6, FM_PROGRAM_AVX512},
    {"avx512_vnni", FM_PROGRAM_LEAF_7, FM_PROGRAM_ECX, 11, FM_PROGRAM_AVX512},
    {"avx512_vp2intersect", FM_PROGRAM_LEAF_7, FM_PROGRAM_EDX, 8, FM_PROGRAM_AVX512},
    {"avx512_vpopcntdq", FM_PROGRAM_LEAF_7, FM_PROGRAM_ECX, 14, FM_PROGRAM_AVX512},
    {"avx512bw", FM_PROGRAM_LEAF_7, FM_PROGRAM_EBX, 30, FM_PROGRAM_AVX512},
    {"avx512cd", FM_PROGRAM_LEAF_7, FM_PROGRAM_EBX, 28, FM_PROGRAM_AVX512},
    {"avx512dq", FM_PROGRAM_LEAF_7, FM_PROGRAM_EBX, 17, FM_PROGRAM_AVX512},
    {"avx512f", FM_PROGRAM_LEAF_7, FM_PROGRAM_EBX, 16, FM_PROGRAM_AVX512},
    {"avx512ifma", FM_PROGRAM_LEAF_7, FM_PROGRAM_EBX, 21, FM_PROGRAM_AVX512},
    {"avx512vbmi", FM_PROGRAM_LEAF_7, FM_PROGRAM_ECX, 1, FM_PROGRAM_AVX512},
    {"avx512vl", FM_PROGRAM_LEAF_7, FM_PROGRAM_EBX, 31, FM_PROGRAM_AVX512},
    {"avx_ifma", FM_PROGRAM_LEAF_7_1, FM_PROGRAM_EAX, 23, FM_PROGRAM_AVX},
    {"avx_ne_convert", FM_PROGRAM_LEAF_7_1, FM_PROGRAM_EDX, 5, FM_PROGRAM_AVX},
    {"avx_vnni", FM_PROGRAM_LEAF_7_1, FM_PROGRAM_EAX, 4, FM_PROGRAM_AVX},
    {"avx_vnni_int16", FM_PROGRAM_LEAF_7_1, FM_PROGRAM_EDX, 10, FM_PROGRAM_AVX},
    {"avx_vnni_int8", FM_PROGRAM_LEAF_7_1, FM_PROGRAM_EDX, 4, FM_PROGRAM_AVX},
    {"bmi1", FM_PROGRAM_LEAF_7, FM_PROGRAM_EBX, 3, 0},
    {"bmi2", FM_PROGRAM_LEAF_7, FM_PROGRAM_EBX, 8, 0},
    {"cx16", FM_PROGRAM_LEAF_1, FM_PROGRAM_ECX, 13, 0},
    {"f16c", FM_PROGRAM_LEAF_1, FM_PROGRAM_ECX, 29, FM_PROGRAM_AVX},
    {"fma", FM_PROGRAM_LEAF_1, FM_PROGRAM_ECX, 12, FM_PROGRAM_AVX},
    {"fma4", FM_PROGRAM_LEAF_AMD, FM_PROGRAM_ECX, 16, FM_PROGRAM_AVX},
    {"gfni", FM_PROGRAM_LEAF_7, FM_PROGRAM_ECX, 8, 0},
    {"lahf_lm", FM_PROGRAM_LEAF_AMD, FM_PROGRAM_ECX, 0, 0},
    {"movbe", FM_PROGRAM_LEAF_1, FM_PROGRAM_ECX, 22, 0},
    {"pclmulqdq", FM_PROGRAM_LEAF_1, FM_PROGRAM_ECX, 1, 0},
    {"pni", FM_PROGRAM_LEAF_1, FM_PROGRAM_ECX, 0, 0},
    {"popcnt", FM_PROGRAM_LEAF_1, FM_PROGRAM_ECX, 23, 0},
    {"sha512", FM_PROGRAM_LEAF_7_1, FM_PROGRAM_EAX, 0, FM_PROGRAM_AVX},
    {"sha_ni", FM_PROGRAM_LEAF_7, FM_PROGRAM_EBX, 29, 0},
    {"sm3", FM_PROGRAM_LEAF_7_1, FM_PROGRAM_EAX, 1, FM_PROGRAM_AVX},
    {"sm4", FM_PROGRAM_LEAF_7_1, FM_PROGRAM_EAX, 2, FM_PROGRAM_AVX},
    {"sse4_1", FM_PROGRAM_LEAF_1, FM_PROGRAM_ECX, 19, 0},
    {"sse4_2", FM_PROGRAM_LEAF_1, FM_PROGRAM_ECX, 20, 0},
    {"sse4a", FM_PROGRAM_LEAF_AMD, FM_PROGRAM_ECX, 6, 0},
    {"ssse3", FM_PROGRAM_LEAF_1, FM_PROGRAM_ECX, 9, 0},
    {"tbm", FM_PROGRAM_LEAF_AMD, FM_PROGRAM_ECX, 21, 0},
    {"vaes", FM_PROGRAM_LEAF_7, FM_PROGRAM_ECX, 9, FM_PROGRAM_AVX},
    {"vpclmulqdq", FM_PROGRAM_LEAF_7, FM_PROGRAM_ECX, 10, FM_PROGRAM_AVX},
    {"xop", FM_PROGRAM_LEAF_AMD, FM_PROGRAM_ECX, 11, FM_PROGRAM_AVX},
};

struct fm_program_cpu_answers {
    unsigned reg[FM_PROGRAM_LEAVES][4];
    uint64_t xcr0;
};

static inline uint64_t fm_program_cpu_xcr0(unsigned leaf_1_ecx)
{
    unsigned low;
    unsigned high;
    if ((leaf_1_ecx & bit_OSXSAVE) == 0)
        return 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static inline void fm_program_cpu_ask(struct fm_program_cpu_answers *answers)
{
    memset(answers, 0, sizeof *answers); /* a leaf that there is not has no features */
    for (size_t i = 0; i < FM_PROGRAM_LEAVES; i++) {
        unsigned *reg = answers->reg[i];
        (void)__get_cpuid_count(fm_program_cpu_leaves[i].leaf, fm_program_cpu_leaves[i].subleaf,
                                &reg[0], &reg[1], &reg[2], &reg[3]);
    }
    answers->xcr0 = fm_program_cpu_xcr0(answers->reg[FM_PROGRAM_LEAF_1][FM_PROGRAM_ECX]);
}

static inline int fm_program_cpu_has(const struct fm_program_cpu_feature *feature,
                                     const struct fm_program_cpu_answers *answers)
{
    return (answers->reg[feature->leaf][feature->reg] >> feature->bit & 1u) != 0 &&
           (feature->xcr0 & ~answers->xcr0) == 0;
}

static inline void fm_program_cpu(char *text, size_t bytes)
{
    const size_t rows = sizeof fm_program_cpu_features / sizeof *fm_program_cpu_features;
    struct fm_program_cpu_answers answers;
    size_t length = 0;
    fm_program_cpu_ask(&answers);
    for (size_t i = 0; i < rows; i++) {
        const char *name = fm_program_cpu_features[i].name;
        const size_t more = strlen(name);
        if (!fm_program_cpu_has(&fm_program_cpu_features[i], &answers) || length + more + 2 > bytes)
            continue;
        if (length > 0)
            text[length++] = ' ';
        memcpy(text + length, name, more);
        length += more;
    }
    text[length] = '\0';
}

#endif
