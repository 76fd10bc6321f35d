/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads what the loader would read: file header, program headers, dynamic section, and the strings and
 * symbols that this leads to. Sections are never looked at: they may be stripped, and the loader does not
 * believe them either.
 *
 * Addresses in the dynamic section are those of the loaded file; `at_address` turns one into an offset by
 * the segment that covers it. No list is followed beyond a limit, and each read says how much it got, so
 * that a file cut short is a sentence and never a fault.
 */
#include "program/elf.h"

#include <elf.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "program/module.h"

#define SEGMENTS_MOST 256
#define CHAIN_MOST 4096 /* symbols whose hashes collide */

static const char serve_name[] = "fastmap_serve";

static const struct {
    unsigned short machine;
    unsigned char bits;
    const char *name;
} machines[] = {
    {EM_X86_64, ELFCLASS64, "x86_64"},
    {EM_X86_64, ELFCLASS32, "x32"},
    {EM_386, ELFCLASS32, "i386"},
    {EM_AARCH64, ELFCLASS64, "aarch64"},
    {EM_ARM, ELFCLASS32, "arm"},
    {EM_PPC64, ELFCLASS64, "ppc64"},
    {EM_RISCV, ELFCLASS64, "riscv64"},
    {EM_S390, ELFCLASS64, "s390x"},
    {EM_LOONGARCH, ELFCLASS64, "loongarch64"},
};

struct reading {
    const struct fm_program_input *input;
    const char *shown;
    ElfW(Ehdr) head;
    ElfW(Phdr) segments[SEGMENTS_MOST];
    uint64_t strings; /* of the dynamic section, as offset in the file; 0: none */
    uint64_t strings_bytes;
    uint64_t symbols;
    uint64_t hashes; /* the GNU hash table */
};

/* ---- Bytes ---- */

static size_t read_fd(const struct fm_program_input *input, uint64_t offset, void *buffer,
                      size_t bytes)
{
    size_t got = 0;
    while (got < bytes && offset + got <= (uint64_t)INT64_MAX) {
        const ssize_t more =
            pread(input->fd, (char *)buffer + got, bytes - got, (off_t)(offset + got));
        if (more <= 0)
            break;
        got += (size_t)more;
    }
    return got;
}

static size_t read_memory(const struct fm_program_input *input, uint64_t offset, void *buffer,
                          size_t bytes)
{
    if (offset >= input->size)
        return 0;
    const size_t left = input->size - (size_t)offset;
    const size_t got = bytes < left ? bytes : left;
    memcpy(buffer, (const char *)input->memory + offset, got);
    return got;
}

struct fm_program_input fm_program_input_fd(int fd)
{
    return (struct fm_program_input){.read = read_fd, .fd = fd};
}

struct fm_program_input fm_program_input_memory(const void *bytes, size_t size)
{
    return (struct fm_program_input){.read = read_memory, .memory = bytes, .size = size, .fd = -1};
}

static bool read_whole(const struct reading *r, uint64_t offset, void *buffer, size_t bytes)
{
    return r->input->read(r->input, offset, buffer, bytes) == bytes;
}

static int refuse_damaged(const struct reading *r, const char *what)
{
    return fm_base_fail(FASTMAP_ERR_PROGRAM,
                        "%s%s is a damaged executable or library (%s); build or install it again",
                        FM_BASE_PATH(r->shown), what);
}

/* Sums of what the file says may wrap: a range is inside if it is not larger than what is left. */
static bool at_address(const struct reading *r, uint64_t address, uint64_t *offset)
{
    for (size_t i = 0; i < r->head.e_phnum; i++) {
        const ElfW(Phdr) *segment = &r->segments[i];
        if (segment->p_type == PT_LOAD && address >= segment->p_vaddr &&
            address - segment->p_vaddr < segment->p_filesz) {
            *offset = segment->p_offset + (address - segment->p_vaddr);
            return *offset >= segment->p_offset;
        }
    }
    return false;
}

/* A string of at most `bytes` bytes, copied; NULL where it does not end within them or memory is out. */
static char *string_at(const struct reading *r, uint64_t offset, uint64_t bytes)
{
    char text[FM_PROGRAM_PATH_BYTES];
    const size_t got =
        r->input->read(r->input, offset, text, bytes < sizeof text ? (size_t)bytes : sizeof text);
    return memchr(text, '\0', got) != NULL ? strdup(text) : NULL;
}

static char *dynamic_string(const struct reading *r, uint64_t index)
{
    if (r->strings == 0 || index >= r->strings_bytes)
        return NULL;
    return string_at(r, r->strings + index, r->strings_bytes - index);
}

/* ---- The header ---- */

static const char *machine_name(const ElfW(Ehdr) * head)
{
    for (size_t i = 0; i < sizeof machines / sizeof *machines; i++)
        if (machines[i].machine == head->e_machine && machines[i].bits == head->e_ident[EI_CLASS])
            return machines[i].name;
    return "an unknown machine";
}

/* The linker's name for the header of the file that this code is linked into: it says what runs here. */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

static bool is_native(const ElfW(Ehdr) * head)
{
    return head->e_ident[EI_CLASS] == __ehdr_start.e_ident[EI_CLASS] &&
           head->e_ident[EI_DATA] == __ehdr_start.e_ident[EI_DATA] &&
           head->e_machine == __ehdr_start.e_machine;
}

static int read_magic(struct reading *r)
{
    const size_t got = r->input->read(r->input, 0, &r->head, sizeof r->head);
    if (got >= 2 && memcmp(&r->head, "#!", 2) == 0)
        return fm_base_fail(FASTMAP_ERR_PROGRAM,
                            "%s%s is a script; name the executable that it starts",
                            FM_BASE_PATH(r->shown));
    if (got < SELFMAG || memcmp(&r->head, ELFMAG, SELFMAG) != 0)
        return fm_base_fail(FASTMAP_ERR_PROGRAM,
                            "%s%s is no executable or shared library (ELF file); name a program",
                            FM_BASE_PATH(r->shown));
    /* The fields up to e_version are in the same place in files of 32 and of 64 bits. */
    if (got < offsetof(ElfW(Ehdr), e_version))
        return refuse_damaged(r, "its header is cut short");
    if (!is_native(&r->head))
        return fm_base_fail(FASTMAP_ERR_PROGRAM,
                            "%s%s is for %s and this machine is %s; build the program for this one",
                            FM_BASE_PATH(r->shown), machine_name(&r->head),
                            machine_name(&__ehdr_start));
    return got == sizeof r->head ? 0 : refuse_damaged(r, "its header is cut short");
}

static int read_head(struct reading *r)
{
    const int rc = read_magic(r);
    if (rc != 0)
        return rc;
    if (r->head.e_type != ET_EXEC && r->head.e_type != ET_DYN)
        return fm_base_fail(FASTMAP_ERR_PROGRAM,
                            "%s%s is an object file or a core dump; name the linked program",
                            FM_BASE_PATH(r->shown));
    if (r->head.e_phentsize != sizeof *r->segments || r->head.e_phnum == 0 ||
        r->head.e_phnum > SEGMENTS_MOST)
        return refuse_damaged(r, "its program headers have the wrong size or number");
    if (!read_whole(r, r->head.e_phoff, r->segments, r->head.e_phnum * sizeof *r->segments))
        return refuse_damaged(r, "its program headers lie beyond its end");
    return 0;
}

static const ElfW(Phdr) * segment_of(const struct reading *r, unsigned type)
{
    for (size_t i = 0; i < r->head.e_phnum; i++)
        if (r->segments[i].p_type == type)
            return &r->segments[i];
    return NULL;
}

/* The program headers speak of bytes up to here; a copy that was cut short has fewer. */
static bool is_whole(const struct reading *r)
{
    uint64_t end = 0;
    char last;
    for (size_t i = 0; i < r->head.e_phnum; i++) {
        const ElfW(Phdr) *segment = &r->segments[i];
        const uint64_t segment_end = segment->p_offset + segment->p_filesz;
        if (segment_end < segment->p_offset)
            return false;
        if (segment->p_type == PT_LOAD && segment_end > end)
            end = segment_end;
    }
    return end > 0 && read_whole(r, end - 1, &last, 1);
}

/* ---- The dynamic section ---- */

#define DYN_BLOCK 64

/* Calls visit for each entry up to DT_NULL. */
static int each_dynamic(struct reading *r, struct fm_program_elf *elf,
                        int (*visit)(struct reading *, const ElfW(Dyn) *, struct fm_program_elf *))
{
    const ElfW(Phdr) *segment = segment_of(r, PT_DYNAMIC);
    ElfW(Dyn) block[DYN_BLOCK];
    const uint64_t count = segment != NULL ? segment->p_filesz / sizeof *block : 0;
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t in_block = i % DYN_BLOCK;
        const uint64_t rest = count - i < DYN_BLOCK ? count - i : DYN_BLOCK;
        if (in_block == 0 && !read_whole(r, segment->p_offset + i * sizeof *block, block,
                                         (size_t)rest * sizeof *block))
            return refuse_damaged(r, "its dynamic section lies beyond its end");
        if (block[in_block].d_tag == DT_NULL)
            return 0;
        const int rc = visit(r, &block[in_block], elf);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int note_table(struct reading *r, const ElfW(Dyn) * entry, struct fm_program_elf *elf)
{
    uint64_t *where = NULL;
    (void)elf;
    switch (entry->d_tag) {
    case DT_STRTAB: where = &r->strings; break;
    case DT_SYMTAB: where = &r->symbols; break;
    case DT_GNU_HASH: where = &r->hashes; break;
    case DT_STRSZ: r->strings_bytes = entry->d_un.d_val; break;
    default: break;
    }
    if (where != NULL && !at_address(r, entry->d_un.d_ptr, where))
        return refuse_damaged(r, "its dynamic section points out of the file");
    return 0;
}

static int add_needed(struct reading *r, char *name, struct fm_program_elf *elf)
{
    if (elf->needed_count == FM_PROGRAM_NEEDED_MOST) {
        free(name);
        return refuse_damaged(r, "it needs too many libraries");
    }
    if (elf->needed == NULL)
        elf->needed = calloc(FM_PROGRAM_NEEDED_MOST, sizeof *elf->needed);
    if (elf->needed == NULL) {
        free(name);
        return fm_base_fail(FASTMAP_ERR_MEMORY, "no memory for the libraries of %s%s; free some",
                            FM_BASE_PATH(r->shown));
    }
    elf->needed[elf->needed_count++] = name;
    return 0;
}

static int note_name(struct reading *r, const ElfW(Dyn) * entry, struct fm_program_elf *elf)
{
    if (entry->d_tag != DT_NEEDED && entry->d_tag != DT_SONAME)
        return 0;
    char *name = dynamic_string(r, entry->d_un.d_val);
    if (name == NULL || name[0] == '\0') {
        free(name);
        return refuse_damaged(r, "a library's name lies beyond its end");
    }
    if (entry->d_tag == DT_NEEDED)
        return add_needed(r, name, elf);
    free(elf->soname);
    elf->soname = name;
    return 0;
}

/* ---- Whether a name is exported ---- */

/* The hash table: four numbers, a Bloom filter, the first symbol of each bucket, the symbols' hashes. */
struct hash_head {
    uint32_t buckets, first_symbol, bloom_words, bloom_shift;
};

static uint32_t gnu_hash(const char *name)
{
    uint32_t hash = 5381;
    for (; *name != '\0'; name++)
        hash = hash * 33 + (unsigned char)*name;
    return hash;
}

static bool is_defined_as(const struct reading *r, uint32_t index, const char *name)
{
    ElfW(Sym) symbol;
    if (!read_whole(r, r->symbols + (uint64_t)index * sizeof symbol, &symbol, sizeof symbol) ||
        symbol.st_shndx == SHN_UNDEF)
        return false;
    char *found = dynamic_string(r, symbol.st_name);
    const bool is_it = found != NULL && strcmp(found, name) == 0;
    free(found);
    return is_it;
}

static bool exports(const struct reading *r, const char *name)
{
    struct hash_head head;
    uint32_t index;
    uint32_t found;
    if (r->hashes == 0 || r->symbols == 0 || !read_whole(r, r->hashes, &head, sizeof head) ||
        head.buckets == 0)
        return false;
    const uint32_t wanted = gnu_hash(name);
    const uint64_t buckets =
        r->hashes + sizeof head + (uint64_t)head.bloom_words * sizeof(ElfW(Addr));
    const uint64_t chain = buckets + (uint64_t)head.buckets * sizeof index;
    if (!read_whole(r, buckets + (uint64_t)(wanted % head.buckets) * sizeof index, &index,
                    sizeof index) ||
        index < head.first_symbol)
        return false;
    for (unsigned step = 0; step < CHAIN_MOST; step++, index++) {
        if (!read_whole(r, chain + (uint64_t)(index - head.first_symbol) * sizeof found, &found,
                        sizeof found))
            return false;
        if ((found | 1u) == (wanted | 1u) && is_defined_as(r, index, name))
            return true;
        if ((found & 1u) != 0)
            return false;
    }
    return false;
}

/* ---- All of it ---- */

static int read_interpreter(struct reading *r, struct fm_program_elf *elf)
{
    const ElfW(Phdr) *segment = segment_of(r, PT_INTERP);
    if (segment == NULL)
        return 0;
    elf->interpreter = string_at(r, segment->p_offset, segment->p_filesz);
    return elf->interpreter != NULL && elf->interpreter[0] == '/'
               ? 0
               : refuse_damaged(r, "its loader has no absolute path");
}

static int read_all(struct reading *r, struct fm_program_elf *elf)
{
    int rc = read_head(r);
    if (rc != 0)
        return rc;
    elf->machine = machine_name(&r->head);
    if (!is_whole(r))
        return refuse_damaged(r, "it is shorter than its program headers say");
    rc = read_interpreter(r, elf);
    if (rc == 0)
        rc = each_dynamic(r, elf, note_table);
    if (rc == 0)
        rc = each_dynamic(r, elf, note_name);
    elf->exports_serve = rc == 0 && exports(r, serve_name);
    return rc;
}

int fm_program_elf_read(const struct fm_program_input *input, const char *shown,
                        struct fm_program_elf *elf)
{
    struct reading r = {.input = input, .shown = shown};
    struct fm_program_elf found = {0};
    const int rc = read_all(&r, &found);
    if (rc == 0)
        *elf = found;
    else
        fm_program_elf_free(&found);
    return rc;
}

void fm_program_elf_free(struct fm_program_elf *elf)
{
    for (size_t i = 0; i < elf->needed_count; i++)
        free(elf->needed[i]);
    free(elf->needed);
    free(elf->interpreter);
    free(elf->soname);
    *elf = (struct fm_program_elf){0};
}
