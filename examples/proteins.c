/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads line by line; one small function per format takes a line. Files come from disks that filled up and
 * downloads that broke off, so a Swiss-Prot record must end with // and have the length its SQ line
 * promises. Letters outside BLOSUM62 (U, O, J) become X and are counted, gaps (-) and stops (*) are
 * left out, and a byte that belongs in no text is an error.
 */
#include "proteins.h"

#include "smith_waterman.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

static const size_t longest_protein = 100000000; /* an alignment's score fits an int */

struct reader {
    struct proteins *set;
    const char *path;
    size_t line;       /* number of the line in hand */
    bool in_entry;     /* between a header or ID and the entry's end */
    bool in_sequence;  /* Swiss-Prot: after SQ */
    size_t promised;   /* Swiss-Prot: length by SQ */
    size_t entry_line; /* where the entry began */
};

typedef int take_line(struct reader *reader, const char *line);

static int fail(struct reader *reader, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int fail(struct reader *reader, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    vsnprintf(reader->set->error, sizeof reader->set->error, format, values);
    va_end(values);
    return -1;
}

/* Room for `more` items beyond count, by doubling. */
static int reserve(struct reader *reader, void **items, size_t *room, size_t count, size_t more,
                   size_t item_bytes)
{
    if (*room - count >= more)
        return 0;
    size_t larger = 2 * (count + more) + 64;
    void *moved = realloc(*items, larger * item_bytes);
    if (!moved)
        return fail(reader, "no memory for %s at line %zu; split the file", reader->path,
                    reader->line);
    *items = moved;
    *room = larger;
    return 0;
}

/* Copies [from, to) without the blanks around it, as much as fits. */
static void copy_text(char *out, size_t out_bytes, const char *from, const char *to)
{
    while (from < to && isspace((unsigned char)*from))
        from++;
    while (to > from && isspace((unsigned char)to[-1]))
        to--;
    snprintf(out, out_bytes, "%.*s", (int)(to - from), from);
}

static int begin_entry(struct reader *reader)
{
    struct proteins *set = reader->set;
    void *entries = set->entry;
    if (reserve(reader, &entries, &set->room, set->count, 1, sizeof *set->entry))
        return -1;
    set->entry = entries;
    set->entry[set->count++] = (struct protein){.first = set->residue_count};
    reader->in_entry = true;
    reader->in_sequence = false;
    reader->entry_line = reader->line;
    return 0;
}

static struct protein *current(struct reader *reader)
{
    return &reader->set->entry[reader->set->count - 1];
}

static void end_entry(struct reader *reader)
{
    if (reader->in_entry && current(reader)->length == 0) {
        reader->set->count--;
        reader->set->empty++;
    }
    reader->in_entry = reader->in_sequence = false;
}

static int add_residues(struct reader *reader, const char *line)
{
    struct proteins *set = reader->set;
    size_t length = strlen(line);
    void *residues = set->residues;
    if (reserve(reader, &residues, &set->residue_room, set->residue_count, length, 1))
        return -1;
    set->residues = residues;
    for (; *line; line++) {
        if (isspace((unsigned char)*line) || isdigit((unsigned char)*line) || *line == '-' ||
            *line == '*')
            continue;
        if (!isgraph((unsigned char)*line))
            return fail(reader, "%s, line %zu: byte 0x%02x in a sequence; give a plain text file",
                        reader->path, reader->line, (unsigned char)*line);
        int code = sw_code(*line);
        set->unknown += code < 0;
        set->residues[set->residue_count++] = (unsigned char)(code < 0 ? SW_UNKNOWN : code);
    }
    current(reader)->length = set->residue_count - current(reader)->first;
    if (current(reader)->length > longest_protein)
        return fail(reader, "%s, line %zu: %s has over %zu residues; is this a protein file?",
                    reader->path, reader->line, current(reader)->name, longest_protein);
    return 0;
}

/* >sp|ACCESSION|NAME title OS=species ..., or >NAME title */
static void read_header(struct protein *entry, const char *text)
{
    const char *end = text + strcspn(text, " \t");
    const char *title_end = strstr(end, " OS=");
    copy_text(entry->title, sizeof entry->title, end, title_end ? title_end : end + strlen(end));
    const char *bar = memchr(text, '|', (size_t)(end - text));
    const char *second = bar ? memchr(bar + 1, '|', (size_t)(end - bar - 1)) : NULL;
    copy_text(entry->name, sizeof entry->name, second ? second + 1 : text, end);
    if (second)
        copy_text(entry->accession, sizeof entry->accession, bar + 1, second);
    else
        copy_text(entry->accession, sizeof entry->accession, text, end);
}

static int take_fasta(struct reader *reader, const char *line)
{
    if (*line != '>')
        return add_residues(reader, line);
    end_entry(reader);
    if (begin_entry(reader))
        return -1;
    read_header(current(reader), line + 1);
    return 0;
}

/* DE   RecName: Full=Rhodopsin {ECO:...};  in older files just  DE   RHODOPSIN. */
static void read_title(struct protein *entry, const char *text)
{
    const char *full = strstr(text, "Full=");
    const char *from = full ? full + strlen("Full=") : text;
    copy_text(entry->title, sizeof entry->title, from, from + strcspn(from, ";{"));
}

static int end_record(struct reader *reader)
{
    const struct protein *entry = current(reader);
    if (entry->length != reader->promised)
        return fail(reader,
                    "%s, line %zu: %s has %zu residues, its SQ line says %zu; "
                    "the file is damaged, fetch it again",
                    reader->path, reader->line, entry->name, entry->length, reader->promised);
    end_entry(reader);
    return 0;
}

static int take_swissprot(struct reader *reader, const char *line)
{
    bool starts = strncmp(line, "ID   ", 5) == 0;
    if (starts == reader->in_entry)
        return fail(reader, "%s, line %zu: %s; the file is damaged, fetch it again", reader->path,
                    reader->line,
                    starts ? "the record before has no // at its end"
                           : "a record must begin with ID");
    if (starts && begin_entry(reader))
        return -1;
    struct protein *entry = current(reader);
    const char *text = line + strnlen(line, 5);
    if (starts) {
        copy_text(entry->name, sizeof entry->name, text, text + strcspn(text, " \t"));
        reader->promised = 0;
    } else if (strncmp(line, "AC   ", 5) == 0 && !*entry->accession) {
        copy_text(entry->accession, sizeof entry->accession, text, text + strcspn(text, ";"));
    } else if (strncmp(line, "DE   ", 5) == 0 && !*entry->title) {
        read_title(entry, text);
    } else if (strncmp(line, "SQ   ", 5) == 0) {
        reader->promised = strtoul(text + strcspn(text, "0123456789"), NULL, 10);
        reader->in_sequence = true;
    } else if (strncmp(line, "//", 2) == 0) {
        return end_record(reader);
    } else if (reader->in_sequence) {
        return add_residues(reader, line);
    }
    return 0;
}

/* Chooses the format by the file's first line that is not blank. */
static take_line *detect(struct reader *reader, const char *line)
{
    if (*line == '>')
        return take_fasta;
    if (strncmp(line, "ID   ", 5) == 0)
        return take_swissprot;
    if (strncmp(line, "\x1f\x8b", 2) == 0)
        fail(reader, "%s is compressed; unpack it first: gzip -dc FILE.gz > FILE", reader->path);
    else
        fail(reader,
             "%s, line %zu: neither FASTA (begins with >) nor Swiss-Prot (begins with ID); "
             "give a protein sequence file",
             reader->path, reader->line);
    return NULL;
}

static int read_lines(struct reader *reader, FILE *file)
{
    take_line *take = NULL;
    char *line = NULL;
    size_t line_room = 0;
    int status = 0;
    ssize_t length = 0;
    while (status == 0 && (errno = 0, length = getline(&line, &line_room, file)) >= 0) {
        reader->line++;
        while (length > 0 && isspace((unsigned char)line[length - 1]))
            line[--length] = '\0';
        if (length == 0)
            continue;
        if (!take)
            take = detect(reader, line);
        if (!take)
            status = -1;
        else if (strlen(line) < (size_t)length)
            status = fail(reader, "%s, line %zu: a zero byte; give a plain text file", reader->path,
                          reader->line);
        else
            status = take(reader, line);
    }
    if (status == 0 && errno)
        status =
            fail(reader, "cannot read %s: %s; give a readable file", reader->path, strerror(errno));
    if (status == 0 && take == take_swissprot && reader->in_entry)
        status = fail(reader,
                      "%s: record %s, begun in line %zu, has no // at its end; "
                      "the file is cut off, fetch it again",
                      reader->path, current(reader)->name, reader->entry_line);
    end_entry(reader);
    free(line);
    return status;
}

int proteins_read(struct proteins *set, const char *path)
{
    struct reader reader = {.set = set, .path = path};
    size_t before = set->count;
    FILE *file = fopen(path, "r");
    if (!file)
        return fail(&reader, "cannot open %s: %s; give a readable file", path, strerror(errno));
    int status = read_lines(&reader, file);
    fclose(file);
    if (status == 0 && reader.set->count == before)
        status =
            fail(&reader, "%s holds no sequence; give a FASTA or Swiss-Prot file with at least one",
                 path);
    return status;
}

const struct protein *proteins_find(const struct proteins *set, const char *name)
{
    for (size_t i = 0; i < set->count; i++)
        if (strcmp(set->entry[i].name, name) == 0 || strcmp(set->entry[i].accession, name) == 0)
            return &set->entry[i];
    return NULL;
}

void proteins_free(struct proteins *set)
{
    free(set->entry);
    free(set->residues);
    *set = (struct proteins){0};
}
