/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hello: the smallest complete use of fastmap.
 *
 * The Collatz rule halves an even number and turns an odd one into 3 x + 1. Which number up to one
 * million needs the most steps to reach 1? The answer is known, so the program checks itself.
 */
#include <fastmap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBERS = 1000000, LONGEST = 837799, LONGEST_STEPS = 524 };

static int count_steps(const void *in, void *out, const void *shared)
{
    (void)shared;
    int steps = 0;
    for (long long x = *(const int *)in; x != 1; steps++)
        x = x % 2 ? 3 * x + 1 : x / 2;
    *(int *)out = steps;
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        printf("usage: hello\nFinds the longest Collatz chain up to %d. Takes no arguments.\n"
               "Exit code: 0 the known answer, 1 another or failure, 2 usage.\n",
               NUMBERS);
        return strcmp(argv[1], "--help") == 0 ? EXIT_SUCCESS : 2;
    }
    static int number[NUMBERS], steps[NUMBERS];
    for (int i = 0; i < NUMBERS; i++)
        number[i] = i + 1;

    /* The loop:  for (int i = 0; i < NUMBERS; i++) count_steps(&number[i], &steps[i], NULL); */
    struct fastmap_report report = FASTMAP_REPORT();
    if (fastmap_run(&FASTMAP_MAP(.func = count_steps, .in = number, .in_size = sizeof *number,
                                 .out = steps, .out_size = sizeof *steps, .n = NUMBERS),
                    &report)) {
        fprintf(stderr, "hello: %s\n", fastmap_last_error());
        return EXIT_FAILURE;
    }

    int longest = 0;
    for (int i = 1; i < NUMBERS; i++)
        longest = steps[i] > steps[longest] ? i : longest;
    printf("%d takes %d steps\n", number[longest], steps[longest]);
    printf("%zu elements in %.3f s, threads: %d, %.2f times the speed of the plain loop\n",
           report.elements, report.seconds, report.workers, report.loop_seconds / report.seconds);
    if (number[longest] != LONGEST || steps[longest] != LONGEST_STEPS) {
        fprintf(stderr, "hello: wrong: %d takes %d steps\n", LONGEST, LONGEST_STEPS);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
