/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Decides which addresses, pins and amounts of money are well formed. An address must be https: what is sent
 * there is signed with the token, and what comes back is believed about money.
 */
#include "base/values.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"

#define LETTERS_DIGITS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
#define DIGITS "0123456789"

enum {
    HOST_MOST = 253,  /* of a DNS name */
    WHOLE_MOST = 9,   /* digits before the point: below 2^63 nano-dollars */
    FRACTION_MOST = 9 /* after it: nano-dollars */
};

/* ---- Addresses ---------------------------------------------------------------------------------- */

/* The length of a name, an IPv4 address, or an IPv6 address in brackets; 0: none of them. */
static size_t host_length(const char *text)
{
    size_t length;
    if (text[0] != '[') {
        length = strspn(text, LETTERS_DIGITS ".-_");
        return length <= HOST_MOST ? length : 0;
    }
    length = strspn(text + 1, "0123456789abcdefABCDEF:.");
    return length >= 2 && length <= HOST_MOST && text[length + 1] == ']' ? length + 2 : 0;
}

/* ":1" to ":65535"; 0: no port. */
static size_t port_length(const char *text)
{
    unsigned port = 0;
    const size_t digits = text[0] == ':' ? strspn(text + 1, DIGITS) : 0;
    if (digits == 0 || digits > 5)
        return 0;
    for (size_t i = 1; i <= digits; i++)
        port = port * 10 + (unsigned)(text[i] - '0');
    return port >= 1 && port <= 65535 ? digits + 1 : 0;
}

int fm_base_values_check_url(int code, const char *where, const char *text)
{
    static const char scheme[] = "https://";
    const size_t start = sizeof scheme - 1;
    if (strncasecmp(text, scheme, start) != 0)
        return fm_base_fail(code, "%s does not begin with https://; give the service's address so",
                            where);
    if (strchr(text, '@') != NULL)
        return fm_base_fail(code, "%s has a user or password in it; give the token as secret",
                            where);
    const size_t host = host_length(text + start);
    const char *rest = text + start + host;
    rest += port_length(rest);
    if (host == 0 || (rest[0] != '\0' && strcmp(rest, "/") != 0))
        return fm_base_fail(
            code, "%s is not of the form https://host or https://host:port; write it so", where);
    return 0;
}

/* ---- Pins ---------------------------------------------------------------------------------------- */

/* The length of one sha256//BASE64; 0: it is none. */
static size_t pin_length(const char *text)
{
    static const char method[] = "sha256//";
    const size_t start = sizeof method - 1;
    const size_t digits = 43; /* of 32 bytes, before the padding */
    if (strncmp(text, method, start) != 0 || strspn(text + start, LETTERS_DIGITS "+/") != digits ||
        text[start + digits] != '=')
        return 0;
    return start + digits + 1;
}

int fm_base_values_check_pin(int code, const char *where, const char *text)
{
    const char *at = text;
    size_t length = pin_length(at);
    while (length > 0 && at[length] == ';') {
        at += length + 1;
        length = pin_length(at);
    }
    if (length == 0 || at[length] != '\0')
        return fm_base_fail(
            code,
            "%s is not a pin; give sha256// and 44 characters of base64, as fastmapd prints it, "
            "several joined by ';'",
            where);
    return 0;
}

/* ---- Money --------------------------------------------------------------------------------------- */

bool fm_base_values_dollars(const char *text, int64_t *nano)
{
    int64_t amount = 0;
    const size_t whole = strspn(text, DIGITS);
    const char *point = text + whole;
    const size_t fraction = point[0] == '.' ? strspn(point + 1, DIGITS) : 0;
    const char *end = point[0] == '.' ? point + 1 + fraction : point;
    if (whole == 0 || whole > WHOLE_MOST || fraction > FRACTION_MOST || end[0] != '\0' ||
        (point[0] == '.' && fraction == 0))
        return false;
    for (size_t i = 0; i < whole; i++)
        amount = amount * 10 + (text[i] - '0');
    for (size_t i = 0; i < FRACTION_MOST; i++)
        amount = amount * 10 + (i < fraction ? point[1 + i] - '0' : 0);
    *nano = amount;
    return true;
}

int fm_base_values_check_dollars(int code, const char *where, const char *text)
{
    int64_t nano;
    if (!fm_base_values_dollars(text, &nano))
        return fm_base_fail(code,
                            "%s is not an amount in US$; give one such as 2 or 0.25, with 9 digits "
                            "on each side of the point at most",
                            where);
    return 0;
}
