/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cutting of targets, and the form of the headers that sign.
 */
#include "target.h"

#include <string.h>

#include "text.h"

static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.";

/* One piece off the front of *text: plain characters up to one of `ends`, which becomes NUL. *end is which.
   */
static const char *take(char **text, const char *ends, char *end)
{
    char *piece = *text;
    const size_t length = strspn(piece, plain);
    *end = piece[length];
    if (length == 0 || (*end != '\0' && strchr(ends, *end) == NULL))
        return NULL;
    *text = piece + length + (*end != '\0');
    piece[length] = '\0';
    return piece;
}

static bool take_params(char *rest, struct fmd_target *target)
{
    char end = '&';
    while (end == '&') {
        if (target->params == FMD_TARGET_PARAMS)
            return false;
        const char *name = take(&rest, "=", &end);
        if (name == NULL || end != '=')
            return false;
        const char *value = take(&rest, "&", &end);
        if (value == NULL)
            return false;
        target->param[target->params].name = name;
        target->param[target->params++].value = value;
    }
    return true;
}

bool fmd_target_parse(const char *text, struct fmd_target *target)
{
    *target = (struct fmd_target){0};
    const size_t length = strnlen(text, FMD_TARGET_BYTES);
    if (length == FMD_TARGET_BYTES || text[0] != '/')
        return false;
    memcpy(target->text, text, length + 1);
    memcpy(target->parts, text, length + 1);
    char *rest = target->parts + 1, end = '/';
    while (end == '/') {
        if (target->segments == FMD_TARGET_SEGMENTS)
            return false;
        const char *segment = take(&rest, "/?", &end);
        if (segment == NULL)
            return false;
        target->segment[target->segments++] = segment;
    }
    return end != '?' || take_params(rest, target);
}

const char *fmd_target_param(const struct fmd_target *target, const char *name)
{
    const char *found = NULL;
    for (size_t i = 0; i < target->params; i++)
        if (strcmp(target->param[i].name, name) == 0) {
            if (found != NULL)
                return NULL;
            found = target->param[i].value;
        }
    return found;
}

bool fmd_target_number(const struct fmd_target *target, const char *name, int64_t *out)
{
    const char *value = fmd_target_param(target, name);
    return value != NULL && fmd_text_number(value, out);
}

/* ---- Signing headers ----------------------------------------------------------------------------------- */

/* "Fastmap <16 digits> <64 digits>". */
static bool take_authorization(const char *text, struct fmd_claim *claim)
{
    static const char scheme[] = "Fastmap ";
    const size_t before = sizeof scheme - 1, id = FM_SERVICE_ID_BYTES - 1,
                 hex = FM_SERVICE_HEX_BYTES - 1;
    if (strncmp(text, scheme, before) != 0 || strlen(text) != before + id + 1 + hex ||
        text[before + id] != ' ')
        return false;
    memcpy(claim->id, text + before, id);
    claim->id[id] = '\0';
    memcpy(claim->signature, text + before + id + 1, hex + 1);
    return fm_service_id_is_valid(claim->id) &&
           fm_service_unhex(claim->signature, FM_SERVICE_DIGEST_BYTES, claim->signature_bytes);
}

static bool is_nonce(const char *text)
{
    const size_t length = strnlen(text, 65);
    return length >= 16 && length <= 64 && strspn(text, plain) == length &&
           strchr(text, '.') == NULL;
}

const char *fmd_claim_parse(const struct fmd_fields *fields, struct fmd_claim *claim)
{
    if (fields->doubled)
        return "a header stands twice";
    if (fields->authorization == NULL || !take_authorization(fields->authorization, claim))
        return "Authorization must be: Fastmap <id> <signature>";
    if (fields->time == NULL || strlen(fields->time) > 12 ||
        !fmd_text_number(fields->time, &claim->time_s))
        return "Fastmap-Time must be seconds since 1970";
    if (fields->nonce == NULL || !is_nonce(fields->nonce))
        return "Fastmap-Nonce must be 16 to 64 letters, digits, - or _";
    if (fields->digest == NULL || strlen(fields->digest) != FM_SERVICE_HEX_BYTES - 1 ||
        !fm_service_unhex(fields->digest, FM_SERVICE_DIGEST_BYTES, claim->digest))
        return "Fastmap-Digest must be a SHA-256, 64 hexadecimal digits";
    return NULL;
}
