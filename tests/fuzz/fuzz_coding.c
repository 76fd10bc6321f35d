/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The reader of packed bodies on arbitrary bytes. The first two bytes say how many bytes the frame should
 * give, the third in which steps it comes. It never gives more than that, and nothing after a failure; and
 * what is taken whole in steps and at once (libzstd is stricter then) is the same.
 */
#include <string.h>

#include "fuzz.h"
#include "service/coding.h"

const char fuzz_corpus[] = "coding";

struct seen {
    uint64_t count;
    uint64_t sum;
};

static bool count(void *context, const void *bytes, size_t size)
{
    struct seen *seen = context;
    for (size_t i = 0; i < size; i++)
        seen->sum = seen->sum * 31 + ((const uint8_t *)bytes)[i];
    seen->count += size;
    return true;
}

static bool read_in_steps(const uint8_t *data, size_t size, uint64_t exact, size_t step,
                          struct seen *seen)
{
    struct fm_service_unpack *reader = fm_service_unpack_new(exact);
    if (reader == NULL)
        return false;
    bool good = true;
    for (size_t at = 0; at < size; at += step) {
        const struct seen before = *seen;
        const bool was_good = good;
        good = fm_service_unpack_feed(reader, data + at, size - at < step ? size - at : step, count,
                                      seen);
        fuzz_expect(was_good || (!good && seen->count == before.count));
        fuzz_expect(seen->count <= exact);
    }
    const bool whole = fm_service_unpack_is_whole(reader);
    fuzz_expect(!whole || (good && seen->count == exact));
    fm_service_unpack_free(reader);
    return whole;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen steps = {0, 0}, once = {0, 0};
    if (size < 3)
        return 0;
    const uint64_t exact = (uint64_t)data[0] << 8 | data[1];
    uint8_t *frame = malloc(size - 3 + 1); /* exact, so that a step too far is seen */
    if (frame == NULL)
        return 0;
    memcpy(frame, data + 3, size - 3);
    const bool whole = read_in_steps(frame, size - 3, exact, data[2] + 1u, &steps);
    const bool again = read_in_steps(frame, size - 3, exact, size, &once);
    fuzz_expect(!whole || !again || steps.sum == once.sum);
    free(frame);
    return 0;
}
