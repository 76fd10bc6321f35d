/* SPDX-License-Identifier: BSD-3-Clause */
/* Bodies in fewer bytes: when, what comes back, and what is refused. */
#include <stdlib.h>
#include <string.h>

#include "service/coding.h"
#include "service/press.h"
#include "test.h"

#define MEGA ((size_t)1 << 20)

struct collected {
    uint8_t *bytes;
    size_t count, room;
};

static bool collect(void *context, const void *bytes, size_t count)
{
    struct collected *to = context;
    if (count > to->room - to->count)
        return false;
    memcpy(to->bytes + to->count, bytes, count);
    to->count += count;
    return true;
}

static uint8_t *make(size_t count, bool is_noise)
{
    uint8_t *bytes = malloc(count + 1);
    uint64_t state = 88172645463325252u;
    for (size_t i = 0; i < count; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes[i] = is_noise ? (uint8_t)(state >> 32) : (uint8_t)("fastmap"[i % 7] + i / 5000);
    }
    return bytes;
}

/* Feeds the frame in steps; whether all of it was taken, and was whole. */
static bool unpack(const uint8_t *frame, size_t size, uint64_t exact, size_t steps,
                   struct collected *to)
{
    struct fm_service_unpack *reader = fm_service_unpack_new(exact);
    bool good = reader != NULL;
    for (size_t at = 0; good && at < size; at += steps)
        good = fm_service_unpack_feed(reader, frame + at, size - at < steps ? size - at : steps,
                                      collect, to);
    good = good && fm_service_unpack_is_whole(reader);
    fm_service_unpack_free(reader);
    return good;
}

/* ---- The frame --------------------------------------------------------------------------------------- */

TEST(what_is_packed_comes_back_whole_however_it_is_cut)
{
    static const size_t sizes[] = {1, 4095, 32768, 32769, 65536, 3 * MEGA + 1};
    for (size_t i = 0; fm_service_coding_is_there() && i < sizeof sizes / sizeof sizes[0]; i++) {
        const size_t size = sizes[i];
        uint8_t *bytes = make(size, i % 2 == 1);
        uint8_t *frame = malloc(size + 1024);
        const size_t packed = fm_service_coding_pack(bytes, size, frame, size + 1024);
        CHECK_TRUE(packed > 0, "%zu bytes", size);
        for (size_t steps = 1; steps < 2 * size && packed > 0; steps = steps * 10 + 1) {
            struct collected to = {malloc(size), 0, size};
            CHECK_TRUE(unpack(frame, packed, size, steps, &to) && to.count == size &&
                           memcmp(to.bytes, bytes, size) == 0,
                       "%zu bytes in steps of %zu: %zu came", size, steps, to.count);
            free(to.bytes);
        }
        free(bytes);
        free(frame);
    }
}

TEST(a_frame_gives_what_was_said_to_the_byte_or_nothing_more_is_taken)
{
    enum { SIZE = 300000 };
    uint8_t *bytes = make(SIZE, false), *frame = malloc(SIZE);
    const size_t packed = fm_service_coding_pack(bytes, SIZE, frame, SIZE - 10);
    struct collected to = {malloc(SIZE + 1), 0, SIZE + 1};
    if (packed > 0) {
        CHECK_TRUE(!unpack(frame, packed, SIZE + 1, 999, &to), "one byte too few");
        for (size_t exact = 0; exact < SIZE; exact = exact * 7 + 1) {
            to.count = 0;
            CHECK_TRUE(!unpack(frame, packed, exact, 999, &to) && to.count <= exact,
                       "%zu came where %zu were said", to.count, exact);
        }
        for (size_t cut = 0; cut < packed; cut += 1 + packed / 50)
            CHECK_TRUE(!unpack(frame, cut, SIZE, 999, &(struct collected){to.bytes, 0, SIZE}),
                       "cut after %zu", cut);
        frame[packed] = 0;
        to.count = 0;
        CHECK_TRUE(!unpack(frame, packed + 1, SIZE, packed + 1, &to), "a byte behind the frame");
        to.count = 0;
        CHECK_TRUE(!unpack(frame, packed + 1, SIZE, packed, &to), "a byte behind, later");
    }
    free(bytes);
    free(frame);
    free(to.bytes);
}

TEST(what_has_no_frame_or_too_large_a_window_is_refused)
{
    static const uint8_t text[] = "these are no bytes of zstd";
    static const uint8_t skippable[] = {0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0};
    /* Windows of 2 MiB and of 2 GiB, which a decoder would have to keep. */
    static const uint8_t two_mega[] = {0x28, 0xb5, 0x2f, 0xfd, 0, (21 - 10) << 3, 1, 0, 0};
    static const uint8_t two_giga[] = {0x28, 0xb5, 0x2f, 0xfd, 0, (31 - 10) << 3, 1, 0, 0};
    static const uint8_t one_mega[] = {0x28, 0xb5, 0x2f, 0xfd, 0, (20 - 10) << 3, 1, 0, 0};
    struct collected none = {NULL, 0, 0};
    CHECK_TRUE(!unpack(text, sizeof text, 100, 5, &none), "text");
    CHECK_TRUE(!unpack(skippable, sizeof skippable, 1, 8, &none), "a skippable frame");
    CHECK_TRUE(!unpack(two_mega, sizeof two_mega, 0, 9, &none), "a window of 2 MiB");
    CHECK_TRUE(!unpack(two_giga, sizeof two_giga, 0, 9, &none), "a window of 2 GiB");
    CHECK_TRUE(unpack(one_mega, sizeof one_mega, 0, 9, &none) == fm_service_coding_is_there(),
               "a window of 1 MiB is fine");
}

/* ---- Whether it pays --------------------------------------------------------------------------------- */

TEST(a_slow_link_packs_what_gets_smaller_and_nothing_else)
{
    struct fm_service_press press = {.link = 1.25e6};
    CHECK_TRUE(fm_service_press_next(&press, MEGA) == FM_SERVICE_PRESS_TRY, "first");
    fm_service_press_learn(&press, 32768, 8192, 32768 / 300e6);
    CHECK_TRUE(fm_service_press_next(&press, MEGA) == FM_SERVICE_PRESS_PACK, "smaller");
    fm_service_press_learn(&press, MEGA, 0, MEGA / 300e6);
    CHECK_TRUE(fm_service_press_next(&press, MEGA) == FM_SERVICE_PRESS_PLAIN, "not smaller");
    CHECK_TRUE(fm_service_press_next(&press, 100) == FM_SERVICE_PRESS_PLAIN, "tiny");
}

TEST(an_unknown_or_fast_link_packs_nothing)
{
    struct fm_service_press unknown = {0}, fast = {.link = 1e9}, fastest = {.link = 1e10};
    CHECK_TRUE(fm_service_press_next(&unknown, MEGA) == FM_SERVICE_PRESS_PLAIN, "unknown");
    CHECK_TRUE(fm_service_press_next(&fastest, MEGA) == FM_SERVICE_PRESS_PLAIN, "fastest");
    fm_service_press_learn(&fast, 32768, 100, 32768 / 900e6);
    CHECK_TRUE(!fm_service_press_pays(&fast), "a link as fast as the packing");
    fast.link = 8e8;
    CHECK_TRUE(!fm_service_press_pays(&fast), "nearly as fast, with the unpacking to come");
    fast.link = 1e8;
    CHECK_TRUE(fm_service_press_pays(&fast), "it has become slow");
}

TEST(what_did_not_pay_is_tried_again_at_a_price_that_does_not_matter)
{
    struct fm_service_press press = {.link = 1.25e6};
    unsigned trials = 0;
    for (size_t sent = 0; sent < 1024 * MEGA; sent += MEGA / 4)
        if (fm_service_press_next(&press, MEGA / 4) == FM_SERVICE_PRESS_TRY) {
            fm_service_press_learn(&press, 32768, 32000, 32768 / 300e6);
            trials++;
        }
    CHECK_TRUE(trials >= 20 && trials <= 60, "%u trials in 1 GiB", trials);
    while (fm_service_press_next(&press, MEGA / 4) != FM_SERVICE_PRESS_TRY)
        continue;
    fm_service_press_learn(&press, 32768, 8192, 32768 / 300e6);
    CHECK_TRUE(fm_service_press_next(&press, MEGA) == FM_SERVICE_PRESS_PACK,
               "data that has changed");
}

TEST(a_body_is_packed_only_into_fewer_bytes)
{
    struct fm_service_press slow = {.link = 1e5}, noisy = {.link = 1e5};
    uint8_t *text = make(MEGA, false), *noise = make(MEGA, true);
    size_t packed = 0;
    void *body = fm_service_press_body(&slow, text, MEGA, &packed);
    CHECK_TRUE((body != NULL) == fm_service_coding_is_there(), "text");
    CHECK_TRUE(body == NULL || packed < MEGA / 2, "%zu bytes", packed);
    struct collected to = {malloc(MEGA), 0, MEGA};
    CHECK_TRUE(body == NULL ||
                   (unpack(body, packed, MEGA, 4096, &to) && memcmp(to.bytes, text, MEGA) == 0),
               "%zu came", to.count);
    free(body);
    free(to.bytes);
    CHECK_TRUE(fm_service_press_body(&noisy, noise, MEGA, &packed) == NULL, "noise");
    free(text);
    free(noise);
}

/* ---- How fast bodies come ---------------------------------------------------------------------------- */

TEST(the_rate_of_bodies_is_that_of_the_time_in_which_any_comes)
{
    struct fm_service_gauge gauge = {0};
    CHECK_TRUE(fm_service_gauge_rate(&gauge) == 0, "nothing has come");
    /* Two at once, half of the link each; then nothing for an hour; then one alone. */
    fm_service_gauge_take(&gauge, true, 1000, 10.0);
    fm_service_gauge_take(&gauge, true, 1000, 10.0);
    fm_service_gauge_take(&gauge, false, 199000, 10.2);
    fm_service_gauge_take(&gauge, false, 200000, 10.4);
    fm_service_gauge_end(&gauge, 10.4);
    fm_service_gauge_end(&gauge, 10.4);
    const double both = fm_service_gauge_rate(&gauge);
    CHECK_TRUE(both > 0.99e6 && both < 1.01e6, "%g", both);
    fm_service_gauge_take(&gauge, true, 1000, 3610.0);
    fm_service_gauge_take(&gauge, false, 100000, 3610.1);
    fm_service_gauge_end(&gauge, 3610.1);
    const double after = fm_service_gauge_rate(&gauge);
    CHECK_TRUE(after > 0.99e6 && after < 1.01e6, "%g", after);
    /* The link becomes ten times slower: after some seconds that is what is told. */
    for (int i = 0; i < 10; i++) {
        fm_service_gauge_take(&gauge, true, 0, 4000 + i);
        fm_service_gauge_take(&gauge, false, 100000, 4001 + i);
        fm_service_gauge_end(&gauge, 4001 + i);
    }
    CHECK_TRUE(fm_service_gauge_rate(&gauge) < 1.05e5, "%g", fm_service_gauge_rate(&gauge));
}
