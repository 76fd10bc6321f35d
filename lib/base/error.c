/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keeps each thread's last error sentence, and the general sentence of each code. The sentence lives in
 * the thread itself: recording one needs no lock and no memory, also where memory is what ran out.
 */
#include "base/error.h"

#include <errno.h>
#include <string.h>

#include "base/text.h"

static _Thread_local char last_sentence[FM_BASE_SENTENCE_BYTES];

int fm_base_fail(int code, const char *fmt, ...)
{
    const int kept_errno = errno;
    char sentence[FM_BASE_SENTENCE_BYTES]; /* apart: arguments may point into the old one */
    va_list args;
    va_start(args, fmt);
    const size_t length = fm_base_text_format(sentence, sizeof sentence, fmt, args);
    va_end(args);
    memcpy(last_sentence, sentence, length + 1);
    errno = kept_errno;
    return code;
}

const char *fm_base_last_error(void)
{
    return last_sentence;
}

/* The switch is the table and its check: a code that the public enum has and the list lacks stops the
   compiler here, as does one listed twice or unknown to the enum. */
#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wswitch"
static const char *listed_sentence(enum fastmap_error code)
{
#define SENTENCE(name, sentence) \
    case name: return sentence;
    switch (code) {
        FM_BASE_ERRORS(SENTENCE)
    }
#undef SENTENCE
    return "unknown error";
}
#pragma GCC diagnostic pop

const char *fm_base_strerror(int code)
{
    return code == 0 ? "success" : listed_sentence((enum fastmap_error)code);
}
