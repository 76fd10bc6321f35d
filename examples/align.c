/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * align: finds the relatives of some proteins among all proteins of a file.
 *
 * An element is one protein of the file, aligned with every query (smith_waterman.h). Its cost follows its
 * length, from some tens to thousands of residues, so elements differ in cost a hundredfold.
 *
 * How surprising a score is, is said in two ways. The bit score and the E-value (hits as good that chance
 * would give in a file of this size) use the constants that NCBI BLAST lists for BLOSUM62 with gaps of
 * 11 + k, lambda 0.267 and K 0.041 (S. F. Altschul et al., Nucleic Acids Res. 25:3389 (1997) explains them),
 * without correction for sequence ends. Z asks the sequence itself: by how many standard deviations its score
 * exceeds those of its own residues in random order (D. J. Lipman and W. R. Pearson, Science 227:1435
 * (1985)). The order depends on the element alone, so results do not depend on who computes it.
 *
 * Elements and shared block hold positions and no pointers: they mean the same in any process.
 */
#include "proteins.h"
#include "smith_waterman.h"

#include <fastmap.h>
#include <getopt.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { QUERIES_MAX = 256, QUERIES_DEFAULT = 8, USAGE = 2 };

static const double lambda = 0.267, k_constant = 0.041;

/* Where a protein's residues are in the shared array. The element's input. */
struct span {
    size_t first, length;
};

/* The shared block. */
struct search {
    size_t query_count, longest_query;
    int shuffles;
    struct span query[QUERIES_MAX];
    unsigned char residues[]; /* of all proteins */
};

/* What an element gives for each query. */
struct score {
    int score;
    float z; /* 0 without shuffles, or where all score alike */
};

struct settings {
    const char *database_path, *queries_path;
    const char *query_name[QUERIES_MAX];
    size_t query_names;
    size_t hits;
    int shuffles;
    bool compare;
};

/* ---- The element ------------------------------------------------------------------------------- */

/* splitmix64: G. L. Steele, D. Lea, C. H. Flood, OOPSLA 2014. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15U;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9U;
    x = (x ^ x >> 27) * 0x94d049bb133111ebU;
    return x ^ x >> 31;
}

static void shuffle(unsigned char *residues, size_t length, uint64_t *state)
{
    for (size_t left = length; left > 1; left--) {
        size_t k = next_random(state) % left;
        unsigned char last = residues[left - 1];
        residues[left - 1] = residues[k];
        residues[k] = last;
    }
}

static int score_query(const struct search *search, size_t q, const unsigned char *target,
                       size_t length, int *work)
{
    const struct span *query = &search->query[q];
    return sw_score(&(struct sw_pair){.query = search->residues + query->first,
                                      .query_length = query->length,
                                      .target = target,
                                      .target_length = length},
                    work);
}

/* Standard deviations of score above the mean, from sum and sum of squares of n shuffled scores. */
static float z_score(int score, double sum, double squares, int n)
{
    double mean = n ? sum / n : 0;
    double variance = n > 1 ? (squares - n * mean * mean) / (n - 1) : 0;
    return variance > 1e-9 ? (float)((score - mean) / sqrt(variance)) : 0;
}

static void score_all(const struct search *search, const struct span *span, struct score *scores,
                      int *work, unsigned char *target)
{
    double sum[QUERIES_MAX] = {0}, squares[QUERIES_MAX] = {0};
    uint64_t state = span->first;
    memcpy(target, search->residues + span->first, span->length);
    for (size_t q = 0; q < search->query_count; q++)
        scores[q].score = score_query(search, q, target, span->length, work);
    for (int round = 0; round < search->shuffles; round++) {
        shuffle(target, span->length, &state);
        for (size_t q = 0; q < search->query_count; q++) {
            double score = score_query(search, q, target, span->length, work);
            sum[q] += score;
            squares[q] += score * score;
        }
    }
    for (size_t q = 0; q < search->query_count; q++)
        scores[q].z = z_score(scores[q].score, sum[q], squares[q], search->shuffles);
}

static int align_protein(const void *in, void *out, const void *shared)
{
    const struct search *search = shared;
    const struct span *span = in;
    int *work = malloc(2 * search->longest_query * sizeof *work);
    unsigned char *target = malloc(span->length);
    int failed = !work || !target;
    if (!failed)
        score_all(search, span, out, work, target);
    free(target);
    free(work);
    return failed;
}

/* ---- The search, by loop and by map ------------------------------------------------------------ */

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* All that main's functions pass along; freed as one. */
struct job {
    struct proteins proteins; /* of the database, then of the queries' file */
    size_t database_count, database_residues;
    const struct protein *query[QUERIES_MAX];
    struct search *search;
    size_t search_bytes;
    struct span *span;              /* n elements */
    struct score *by_map, *by_loop; /* n * query_count each; by_loop NULL: not wanted */
    double loop_seconds;
    struct fastmap_report report;
};

static void run_loop(struct job *job)
{
    double start = seconds_now();
    for (size_t i = 0; i < job->database_count; i++)
        align_protein(&job->span[i], job->by_loop + i * job->search->query_count, job->search);
    job->loop_seconds = seconds_now() - start;
}

static int run_map(struct job *job)
{
    job->report = FASTMAP_REPORT();
    int code = fastmap_run(&FASTMAP_MAP(.func = align_protein, .in = job->span,
                                        .in_size = sizeof *job->span, .out = job->by_map,
                                        .out_size = job->search->query_count * sizeof *job->by_map,
                                        .n = job->database_count, .shared = job->search,
                                        .shared_size = job->search_bytes, .label = "align"),
                           &job->report);
    if (code)
        fprintf(stderr, "align: %s\n", fastmap_last_error());
    return code;
}

/* ---- The table --------------------------------------------------------------------------------- */

struct hit {
    size_t target;
    struct score score;
};

/* Best first; file order among equals. */
static int by_score(const void *a, const void *b)
{
    const struct hit *left = a, *right = b;
    if (left->score.score != right->score.score)
        return left->score.score < right->score.score ? 1 : -1;
    return left->target < right->target ? -1 : left->target > right->target;
}

static int print_hit(const struct job *job, const struct protein *query, const struct hit *hit)
{
    const struct protein *target = &job->proteins.entry[hit->target];
    struct sw_alignment found;
    if (sw_align(&(struct sw_pair){.query = job->proteins.residues + query->first,
                                   .query_length = query->length,
                                   .target = job->proteins.residues + target->first,
                                   .target_length = target->length},
                 &found)) {
        fprintf(stderr, "align: no memory to align %s; give shorter queries\n", query->name);
        return -1;
    }
    double bits = (lambda * found.score - log(k_constant)) / log(2);
    double e_value = (double)query->length * (double)job->database_residues * exp2(-bits);
    char query_range[48], target_range[48], z[16] = "-";
    snprintf(query_range, sizeof query_range, "%zu-%zu", found.query_first, found.query_last);
    snprintf(target_range, sizeof target_range, "%zu-%zu", found.target_first, found.target_last);
    if (job->search->shuffles)
        snprintf(z, sizeof z, "%.1f", (double)hit->score.z);
    printf("  %-14s %-8s %5d %7.1f %8.1e %6s %5.1f%%  %-9s %-9s %.26s\n", target->name,
           target->accession, found.score, bits, e_value, z,
           100.0 * (double)found.identical / (double)found.columns, query_range, target_range,
           target->title);
    return 0;
}

/* The best hits of query q, itself left out. */
static int print_query(const struct job *job, size_t q, size_t hits, struct hit *hit)
{
    const struct protein *query = job->query[q];
    size_t count = 0, printed = 0;
    for (size_t i = 0; i < job->database_count; i++) {
        struct score score = job->by_map[i * job->search->query_count + q];
        if (score.score > 0 && &job->proteins.entry[i] != query)
            hit[count++] = (struct hit){i, score};
    }
    qsort(hit, count, sizeof *hit, by_score);
    printf("\n%s: %s, %zu residues\n", query->name, *query->title ? query->title : "no title",
           query->length);
    for (; printed < count && printed < hits; printed++)
        if (print_hit(job, query, &hit[printed]))
            return -1;
    if (!count)
        printf("  nothing similar\n");
    return 0;
}

static int print_table(const struct job *job, size_t hits)
{
    struct hit *hit = malloc(job->database_count * sizeof *hit);
    int status = hit ? 0 : -1;
    if (!hit)
        fprintf(stderr, "align: no memory for the table; give fewer sequences\n");
    printf("  %-14s %-8s %5s %7s %8s %6s %6s  %-9s %-9s %s\n", "hit", "entry", "score", "bits",
           "E-value", "Z", "ident", "in query", "in hit", "protein");
    for (size_t q = 0; status == 0 && q < job->search->query_count; q++)
        status = print_query(job, q, hits, hit);
    free(hit);
    return status;
}

/* The timing block; -1 where loop and map disagree. */
static int print_times(const struct job *job)
{
    const struct fastmap_report *report = &job->report;
    if (!job->by_loop) {
        printf(
            "\nfastmap      %8.3f s   threads: %d, about %.2f times the speed of the plain loop\n",
            report->seconds, report->workers, report->loop_seconds / report->seconds);
        return 0;
    }
    bool identical =
        memcmp(job->by_loop, job->by_map,
               job->database_count * job->search->query_count * sizeof *job->by_map) == 0;
    printf("\nplain loop   %8.3f s\nfastmap      %8.3f s   threads: %d\nspeed-up     %8.2f\n"
           "results identical: %s\n",
           job->loop_seconds, report->seconds, report->workers, job->loop_seconds / report->seconds,
           identical ? "yes" : "no");
    return identical ? 0 : -1;
}

/* ---- From settings to a job -------------------------------------------------------------------- */

static int read_files(struct job *job, const struct settings *settings)
{
    struct proteins *proteins = &job->proteins;
    int status = proteins_read(proteins, settings->database_path);
    job->database_count = proteins->count;
    job->database_residues = proteins->residue_count;
    if (status == 0 && settings->queries_path)
        status = proteins_read(proteins, settings->queries_path);
    if (status) {
        fprintf(stderr, "align: %s\n", proteins->error);
        return -1;
    }
    if (proteins->unknown)
        fprintf(stderr, "align: letters that BLOSUM62 does not know, read as X: %zu\n",
                proteins->unknown);
    if (proteins->empty)
        fprintf(stderr, "align: entries without residues, left out: %zu\n", proteins->empty);
    return 0;
}

/* Queries: those named, and those of the queries' file; else some, evenly spread over the file. */
static int choose_queries(struct job *job, const struct settings *settings, size_t *count)
{
    size_t n = job->database_count, chosen = 0;
    for (size_t k = 0; k < settings->query_names; k++) {
        const struct protein *named = proteins_find(&job->proteins, settings->query_name[k]);
        if (!named) {
            fprintf(stderr, "align: no entry '%s' in %s; its first is called %s\n",
                    settings->query_name[k], settings->database_path, job->proteins.entry[0].name);
            return -1;
        }
        job->query[chosen++] = named;
    }
    size_t from_file = job->proteins.count - n;
    if (chosen + from_file > QUERIES_MAX) {
        fprintf(stderr, "align: %zu queries; give at most %d at a time\n", chosen + from_file,
                QUERIES_MAX);
        return -1;
    }
    for (size_t k = 0; k < from_file; k++)
        job->query[chosen++] = &job->proteins.entry[n + k];
    size_t spread = chosen ? 0 : n < QUERIES_DEFAULT ? n : QUERIES_DEFAULT;
    for (size_t k = 0; k < spread; k++)
        job->query[chosen++] = &job->proteins.entry[(2 * k + 1) * n / (2 * spread)];
    *count = chosen;
    return 0;
}

static void fill_search(struct job *job, size_t query_count, int shuffles)
{
    struct search *search = job->search;
    search->query_count = query_count;
    search->longest_query = 1;
    search->shuffles = shuffles;
    memcpy(search->residues, job->proteins.residues, job->proteins.residue_count);
    for (size_t q = 0; q < query_count; q++) {
        search->query[q] = (struct span){job->query[q]->first, job->query[q]->length};
        if (job->query[q]->length > search->longest_query)
            search->longest_query = job->query[q]->length;
    }
    for (size_t i = 0; i < job->database_count; i++)
        job->span[i] = (struct span){job->proteins.entry[i].first, job->proteins.entry[i].length};
}

static int prepare(struct job *job, const struct settings *settings)
{
    size_t queries = 0;
    if (read_files(job, settings) || choose_queries(job, settings, &queries))
        return -1;
    size_t n = job->database_count;
    job->search_bytes = sizeof *job->search + job->proteins.residue_count;
    job->search = calloc(1, job->search_bytes);
    job->span = calloc(n, sizeof *job->span);
    job->by_map = calloc(n * queries, sizeof *job->by_map);
    job->by_loop = settings->compare ? calloc(n * queries, sizeof *job->by_loop) : NULL;
    if (!job->search || !job->span || !job->by_map || (settings->compare && !job->by_loop)) {
        fprintf(stderr, "align: no memory for %zu proteins by %zu queries; give fewer queries\n", n,
                queries);
        return -1;
    }
    fill_search(job, queries, settings->shuffles);
    return 0;
}

static void free_job(struct job *job)
{
    proteins_free(&job->proteins);
    free(job->search);
    free(job->span);
    free(job->by_map);
    free(job->by_loop);
}

static int search_and_print(const struct settings *settings)
{
    struct job job = {0};
    int status = prepare(&job, settings);
    if (status == 0) {
        printf("%s: %zu proteins, %zu residues; %zu queries, %d shuffles\n\n",
               settings->database_path, job.database_count, job.database_residues,
               job.search->query_count, settings->shuffles);
        if (job.by_loop)
            run_loop(&job);
        status = run_map(&job);
    }
    if (status == 0)
        status = print_table(&job, settings->hits);
    if (status == 0)
        status = print_times(&job);
    free_job(&job);
    return status ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- The command line -------------------------------------------------------------------------- */

static void print_help(void)
{
    printf("usage: align [option...] FILE\n"
           "Aligns every protein of FILE (FASTA or Swiss-Prot) with each query, by the plain loop "
           "and by\n"
           "fastmap, and prints each query's best hits and both times.\n\n"
           "  -q, --query NAME     an entry of FILE, by name or accession; may be repeated\n"
           "  -f, --queries FILE   all entries of another file\n"
           "                       without either: up to %d, evenly spread over FILE\n"
           "  -n, --hits N         hits to print for a query, 1 to 1000 (3)\n"
           "  -s, --shuffles N     shuffled copies of a protein for its Z, 0 to 10000 (20)\n"
           "      --no-compare     leave out the plain loop\n"
           "      --help           print this and end\n\n"
           "Exit code: 0 success, 1 failure, 2 usage.\n",
           QUERIES_DEFAULT);
}

/* Reads a whole number in [low, high]; false, and a sentence, where it is none. */
static bool read_number(const char *name, const char *text, long low, long high, long *value)
{
    char *end = NULL;
    long number = strtol(text, &end, 10);
    if (end != text && !*end && number >= low && number <= high) {
        *value = number;
        return true;
    }
    fprintf(stderr, "align: --%s '%s' is no whole number from %ld to %ld\n", name, text, low, high);
    return false;
}

static bool add_query(struct settings *settings, const char *name)
{
    if (settings->query_names == QUERIES_MAX) {
        fprintf(stderr, "align: more than %d times --query; give fewer at a time\n", QUERIES_MAX);
        return false;
    }
    settings->query_name[settings->query_names++] = name;
    return true;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"query", required_argument, NULL, 'q'},
                                            {"queries", required_argument, NULL, 'f'},
                                            {"hits", required_argument, NULL, 'n'},
                                            {"shuffles", required_argument, NULL, 's'},
                                            {"no-compare", no_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'H'},
                                            {0}};
    static struct settings settings = {.compare = true};
    long hits = 3, shuffles = 20;
    bool valid = true;
    for (int option;
         valid && (option = getopt_long(argc, argv, "q:f:n:s:", options, NULL)) != -1;) {
        switch (option) {
        case 'q': valid = add_query(&settings, optarg); break;
        case 'f': settings.queries_path = optarg; break;
        case 'n': valid = read_number("hits", optarg, 1, 1000, &hits); break;
        case 's': valid = read_number("shuffles", optarg, 0, 10000, &shuffles); break;
        case 'c': settings.compare = false; break;
        case 'H': print_help(); return EXIT_SUCCESS;
        default: valid = false; fprintf(stderr, "align: see align --help\n");
        }
    }
    if (valid && optind + 1 != argc) {
        fprintf(stderr, "align: give one FILE, not %d; see align --help\n", argc - optind);
        valid = false;
    }
    if (!valid)
        return USAGE;
    settings.database_path = argv[optind];
    settings.hits = (size_t)hits;
    settings.shuffles = (int)shuffles;
    return search_and_print(&settings);
}
