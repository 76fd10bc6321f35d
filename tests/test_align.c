/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parts of examples/align: alignments against cases worked out by hand and against a plain
 * implementation that keeps whole matrices and tries gaps of every length, and the reader against good and
 * bad files. What the program prints is checked by examples.sh.
 */
#include "../examples/proteins.h"
#include "../examples/smith_waterman.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LONGEST = 60 };

/* ---- Alignments ---------------------------------------------------------------------------------- */

static size_t encode(const char *letters, unsigned char *codes)
{
    size_t length = strlen(letters);
    for (size_t i = 0; i < length; i++)
        codes[i] = (unsigned char)sw_code(letters[i]);
    return length;
}

static struct sw_alignment align(const char *query, const char *target)
{
    unsigned char query_codes[LONGEST], target_codes[LONGEST];
    int work[2 * LONGEST];
    struct sw_pair pair = {.query = query_codes, .target = target_codes};
    pair.query_length = encode(query, query_codes);
    pair.target_length = encode(target, target_codes);
    struct sw_alignment found = {0};
    CHECK_EQ_INT(sw_align(&pair, &found), 0);
    CHECK_EQ_INT(sw_score(&pair, work), found.score);
    return found;
}

static void check_alignment(struct sw_alignment found, struct sw_alignment expected)
{
    CHECK_EQ_INT(found.score, expected.score);
    CHECK_EQ_SIZE(found.query_first, expected.query_first);
    CHECK_EQ_SIZE(found.query_last, expected.query_last);
    CHECK_EQ_SIZE(found.target_first, expected.target_first);
    CHECK_EQ_SIZE(found.target_last, expected.target_last);
    CHECK_EQ_SIZE(found.columns, expected.columns);
    CHECK_EQ_SIZE(found.identical, expected.identical);
}

/*
 * W/W is 11 and P/G is -2, so the ends only cost:
 *     PPPWWWWPPP
 *        ||||         4 * 11 = 44
 *     GGGWWWWGGG
 */
TEST(an_alignment_leaves_out_ends_that_cost)
{
    check_alignment(align("PPPWWWWPPP", "GGGWWWWGGG"), (struct sw_alignment){44, 4, 7, 4, 7, 4, 4});
}

/* W/W 11, I/V 3, W/W 11: 25, of which two pairs are identical. */
TEST(a_similar_residue_scores_and_is_not_identical)
{
    check_alignment(align("WIW", "WVW"), (struct sw_alignment){25, 1, 3, 1, 3, 3, 2});
}

/*
 * W/W is 11, C/C is 9, a gap of two costs 11 + 2 = 13:
 *     WWW--CCC
 *     |||  |||        33 - 13 + 27 = 47
 *     WWWHHCCC
 * Without the gap at best WWWCCC / WWWHHC = 33 - 3 - 3 + 9 = 36.
 */
TEST(a_gap_costs_eleven_and_one_for_each_residue)
{
    check_alignment(align("WWWCCC", "WWWHHCCC"), (struct sw_alignment){47, 1, 6, 1, 8, 8, 6});
    check_alignment(align("WWWHHCCC", "WWWCCC"), (struct sw_alignment){47, 1, 8, 1, 6, 8, 6});
}

/* Every pair scores below 0 (P/G -2). */
TEST(proteins_without_a_positive_pair_do_not_align)
{
    check_alignment(align("PPPP", "GGGG"), (struct sw_alignment){0});
}

TEST(letters_have_one_code_in_either_case_and_strangers_none)
{
    CHECK_EQ_INT(sw_code('w'), sw_code('W'));
    CHECK_EQ_INT(sw_code('X'), SW_UNKNOWN);
    const char strangers[] = {'U', 'O', 'J', '*', '-', '1', '\0', '\xff'};
    for (size_t i = 0; i < sizeof strangers; i++)
        CHECK_EQ_INT(sw_code(strangers[i]), -1);
}

TEST(substitution_scores_do_not_depend_on_order)
{
    for (int a = 0; a < SW_LETTERS; a++)
        for (int b = 0; b < a; b++)
            CHECK_EQ_INT(sw_substitution((unsigned char)a, (unsigned char)b),
                         sw_substitution((unsigned char)b, (unsigned char)a));
}

/* Smith and Waterman's own form: whole matrix, every gap length tried at every place. */
static int plain_score(const struct sw_pair *pair)
{
    static int h[LONGEST + 1][LONGEST + 1];
    int best = 0;
    memset(h, 0, sizeof h);
    for (size_t i = 1; i <= pair->target_length; i++) {
        for (size_t j = 1; j <= pair->query_length; j++) {
            int top = h[i - 1][j - 1] + sw_substitution(pair->target[i - 1], pair->query[j - 1]);
            for (size_t k = 1; k <= i; k++)
                top = h[i - k][j] - 11 - (int)k > top ? h[i - k][j] - 11 - (int)k : top;
            for (size_t k = 1; k <= j; k++)
                top = h[i][j - k] - 11 - (int)k > top ? h[i][j - k] - 11 - (int)k : top;
            h[i][j] = top > 0 ? top : 0;
            best = h[i][j] > best ? h[i][j] : best;
        }
    }
    return best;
}

/* A target that is the query with changes, so that good alignments with gaps are common. */
static void mutate(struct sw_pair *pair, unsigned char *query, unsigned char *target)
{
    pair->query_length = 1 + (size_t)rand() % (LONGEST - 20);
    pair->target_length = 0;
    for (size_t j = 0; j < pair->query_length; j++) {
        query[j] = (unsigned char)(rand() % SW_LETTERS);
        int fate = rand() % 16;
        int copies = fate == 0 ? 0 : fate == 1 && pair->target_length + 8 < LONGEST - j ? 7 : 1;
        for (; copies > 0 && pair->target_length < LONGEST; copies--)
            target[pair->target_length++] =
                (unsigned char)(copies > 1 || fate < 5 ? rand() % SW_LETTERS : query[j]);
    }
}

/* What the score must be, from the extents and counts alone: bounds that a wrong traceback breaks. */
static void check_extents(const struct sw_pair *pair, const struct sw_alignment *found)
{
    size_t query_part = found->query_last - found->query_first + 1;
    size_t target_part = found->target_last - found->target_first + 1;
    size_t longer = query_part > target_part ? query_part : target_part;
    CHECK_TRUE(found->query_first >= 1 && found->query_last <= pair->query_length,
               "query %zu-%zu of %zu", found->query_first, found->query_last, pair->query_length);
    CHECK_TRUE(found->target_first >= 1 && found->target_last <= pair->target_length,
               "target %zu-%zu of %zu", found->target_first, found->target_last,
               pair->target_length);
    CHECK_TRUE(found->columns >= longer && found->columns < query_part + target_part,
               "%zu columns over parts of %zu and %zu", found->columns, query_part, target_part);
    CHECK_TRUE(found->identical <= found->columns, "%zu identical of %zu", found->identical,
               found->columns);
    struct sw_pair part = {.query = pair->query + found->query_first - 1,
                           .target = pair->target + found->target_first - 1,
                           .query_length = query_part,
                           .target_length = target_part};
    CHECK_EQ_INT(plain_score(&part), found->score);
}

TEST(scores_and_extents_agree_with_a_plain_implementation)
{
    unsigned char query[LONGEST], target[LONGEST];
    int work[2 * LONGEST];
    struct sw_pair pair = {.query = query, .target = target};
    srand(1);
    for (int round = 0; round < 2000; round++) {
        struct sw_alignment found = {0};
        mutate(&pair, query, target);
        int expected = plain_score(&pair);
        CHECK_EQ_INT(sw_score(&pair, work), expected);
        CHECK_EQ_INT(sw_align(&pair, &found), 0);
        CHECK_EQ_INT(found.score, expected);
        if (expected > 0)
            check_extents(&pair, &found);
    }
}

/* ---- Files ----------------------------------------------------------------------------------------- */

/* Reads a file that holds these bytes. */
static int read_bytes(struct proteins *set, const char *bytes, size_t count)
{
    char path[] = "/tmp/test_align.XXXXXX";
    int descriptor = mkstemp(path);
    if (!CHECK_TRUE(descriptor >= 0, "no file like %s can be made", path))
        return -1;
    FILE *file = fdopen(descriptor, "w");
    CHECK_EQ_SIZE(fwrite(bytes, 1, count, file), count);
    fclose(file);
    int status = proteins_read(set, path);
    unlink(path);
    return status;
}

static int read_text(struct proteins *set, const char *text)
{
    return read_bytes(set, text, strlen(text));
}

static void check_refused(const char *text, const char *because)
{
    struct proteins set = {0};
    CHECK_EQ_INT(read_text(&set, text), -1);
    CHECK_CONTAINS(set.error, because);
    proteins_free(&set);
}

static const char swissprot[] = "ID   ABC_HUMAN    Reviewed;   12 AA.\n"
                                "AC   P00001; Q00002;\n"
                                "AC   Q00003;\n"
                                "DE   RecName: Full=Some protein {ECO:0000305};\n"
                                "DE   AltName: Full=Another name;\n"
                                "SQ   SEQUENCE   12 AA;  1 MW;  0 CRC64;\n"
                                "     ARNDCQEGHI LK\n"
                                "//\n";

TEST(a_swissprot_record_gives_name_accession_title_and_residues)
{
    struct proteins set = {0};
    if (!CHECK_TRUE(read_text(&set, swissprot) == 0, "%s", set.error))
        return;
    CHECK_EQ_SIZE(set.count, 1);
    CHECK_EQ_STR(set.entry[0].name, "ABC_HUMAN");
    CHECK_EQ_STR(set.entry[0].accession, "P00001");
    CHECK_EQ_STR(set.entry[0].title, "Some protein");
    CHECK_EQ_SIZE(set.entry[0].length, 12);
    for (size_t i = 0; i < set.residue_count; i++)
        CHECK_EQ_INT(set.residues[i], (int)i);
    CHECK_TRUE(proteins_find(&set, "P00001") == set.entry, "not found by accession");
    CHECK_TRUE(proteins_find(&set, "P00002") == NULL, "found what is not there");
    proteins_free(&set);
}

TEST(fasta_headers_lines_and_line_ends_are_read)
{
    struct proteins set = {0};
    int status = read_text(&set, "\r\n>sp|P1|ONE_X First one OS=Homo sapiens\r\nWW\r\nww\r\n\r\n"
                                 ">two\nC-C*\n>empty\n>three third\nWUJW");
    if (!CHECK_TRUE(status == 0, "%s", set.error))
        return;
    CHECK_EQ_SIZE(set.count, 3);
    CHECK_EQ_STR(set.entry[0].name, "ONE_X");
    CHECK_EQ_STR(set.entry[0].accession, "P1");
    CHECK_EQ_STR(set.entry[0].title, "First one");
    CHECK_EQ_SIZE(set.entry[0].length, 4);
    CHECK_EQ_STR(set.entry[1].accession, "two");
    CHECK_EQ_SIZE(set.entry[1].length, 2);
    CHECK_EQ_SIZE(set.entry[2].length, 4);
    CHECK_EQ_SIZE(set.unknown, 2);
    CHECK_EQ_SIZE(set.empty, 1);
    proteins_free(&set);
}

TEST(a_swissprot_file_cut_off_anywhere_is_refused)
{
    for (size_t kept = 1; kept + 2 < sizeof swissprot; kept++) {
        struct proteins set = {0};
        int status = read_bytes(&set, swissprot, kept);
        CHECK_TRUE(status == -1, "%zu of %zu bytes were taken for a file", kept,
                   sizeof swissprot - 1);
        CHECK_TRUE(*set.error, "no sentence for %zu bytes", kept);
        proteins_free(&set);
    }
}

TEST(a_damaged_record_is_refused_with_its_line)
{
    check_refused("ID   A\nSQ   SEQUENCE 3 AA;\n     AR\n//\n",
                  "A has 2 residues, its SQ line says 3");
    check_refused("ID   A\nID   B\n//\n", "line 2: the record before has no //");
    check_refused("ID   A\n//\nSQ   SEQUENCE 1 AA;\n", "line 3: a record must begin with ID");
}

TEST(files_that_are_no_proteins_are_refused)
{
    check_refused("", "holds no sequence");
    check_refused(">only a header\n", "holds no sequence");
    check_refused("hello\n", "neither FASTA");
    check_refused("\x1f\x8b\x08", "compressed");
    check_refused(">a\nAR\x01\n", "byte 0x01");
    struct proteins set = {0};
    CHECK_EQ_INT(read_bytes(&set, ">a\nA\0R\n", 7), -1);
    CHECK_CONTAINS(set.error, "a zero byte");
    proteins_free(&set);
}

TEST(a_missing_file_and_a_folder_are_refused)
{
    struct proteins set = {0};
    CHECK_EQ_INT(proteins_read(&set, "/nonexistent/file"), -1);
    CHECK_CONTAINS(set.error, "No such file");
    CHECK_EQ_INT(proteins_read(&set, "/"), -1);
    CHECK_CONTAINS(set.error, "Is a directory");
    proteins_free(&set);
}
