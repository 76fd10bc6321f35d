/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Decides how the key is kept: alone on a page that is not written into core dumps where the system can do
 * that, and wiped at the end. The token itself is not copied.
 */
#include "tier/cloud/line.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"
#include "base/values.h"
#include "tier/cloud/say.h"

#define KEY_PAGE 4096
#define CONNECTIONS_KEPT 128L /* or curl would keep few where few calls are under way */

static uint8_t *key_new(const char *token)
{
    void *page = mmap(NULL, KEY_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return NULL;
    madvise(page, KEY_PAGE, MADV_DONTDUMP);
    fm_service_token_key(token, page);
    return page;
}

static void key_free(uint8_t *key)
{
    if (key == NULL)
        return;
    explicit_bzero(key, FM_SERVICE_DIGEST_BYTES);
    munmap(key, KEY_PAGE);
}

static void set_url(struct fm_cloud_line *line, const char *url)
{
    const size_t length = strlen(url);
    const int kept = (int)(length > 0 && url[length - 1] == '/' ? length - 1 : length);
    snprintf(line->url, sizeof line->url, "%.*s", kept, url);
}

bool fm_cloud_line_init(struct fm_cloud_line *line, const struct fm_tier_cloud_service *service,
                        char why[FM_TIER_CLOUD_WHY])
{
    memset(line, 0, sizeof *line);
    line->service = *service;
    if (service->url == NULL || service->token == NULL)
        return fm_cloud_say(why, "there is no cloud_url or no secret; set both");
    if (fm_base_values_check_url(FASTMAP_ERR_CONFIG, "cloud_url", service->url) != 0)
        return fm_cloud_say(why, "%s", fm_base_last_error());
    if (!fm_service_token_parse(service->token, strlen(service->token), line->id))
        return fm_cloud_say(why, "secret is no token of a fastmap service; give it as it was "
                                 "issued, it begins with fm1_");
    set_url(line, service->url);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
        return fm_cloud_say(why, "curl cannot be used; check its installation");
    line->key = key_new(service->token);
    line->multi = curl_multi_init();
    if (line->key == NULL || line->multi == NULL ||
        RAND_bytes((unsigned char *)&line->random, sizeof line->random) != 1) {
        fm_cloud_line_fini(line);
        return fm_cloud_say(why, "no memory for a connection to the cloud; free some");
    }
    line->random |= 1;
    curl_multi_setopt(line->multi, CURLMOPT_MAXCONNECTS, CONNECTIONS_KEPT);
    return true;
}

void fm_cloud_line_fini(struct fm_cloud_line *line)
{
    if (line->multi != NULL)
        curl_multi_cleanup(line->multi);
    key_free(line->key);
    line->multi = NULL;
    line->key = NULL;
}

double fm_cloud_line_random(struct fm_cloud_line *line)
{
    line->random ^= line->random << 13;
    line->random ^= line->random >> 7;
    line->random ^= line->random << 17;
    return (double)(line->random >> 11) * 0x1p-53;
}

void fm_cloud_line_wake(struct fm_cloud_line *line)
{
    atomic_store(&line->woken, true);
    curl_multi_wakeup(line->multi);
}

bool fm_cloud_line_gives_up(const struct fm_cloud_line *line)
{
    return line->service.give_up != NULL &&
           atomic_load_explicit(line->service.give_up, memory_order_relaxed);
}
