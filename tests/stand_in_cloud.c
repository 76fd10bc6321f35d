/* SPDX-License-Identifier: BSD-3-Clause */
/* A cloud in this process. See stand_in_cloud.h. */
#include "stand_in_cloud.h"

#include <fastmap.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "wire/worker.h"

#define VCPUS_MOST 64
#define QUEUE 1024

struct stand_in stand_in;

struct item {
    struct fm_tier_cloud_span span;
    struct fm_tier_cloud_answer answer;
    double due; /* when the inputs have arrived, or the answer has */
    double sent;
};

struct fm_cloud {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct fm_tier_cloud_map map;
    const _Atomic bool *give_up;
    struct item *inbox[QUEUE];
    struct item *outbox[QUEUE];
    int waiting;
    int answered;
    int busy;
    bool open;
    bool rests;
    bool woken;
    bool ending;
    int spans;
    int64_t before; /* spent when the map was opened or taken up */
    pthread_t threads[VCPUS_MOST];
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void nap(double seconds)
{
    const struct timespec time = {.tv_sec = (time_t)seconds,
                                  .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&time, NULL);
}

/* vCPUs that the map has now. */
static int vcpus_of(const struct fm_cloud *cloud)
{
    const int now = cloud->spans >= 3 && stand_in.later > 0 ? stand_in.later
                    : stand_in.first > 0                    ? stand_in.first
                                                            : stand_in.vcpus;
    return cloud->map.vcpus < now ? cloud->map.vcpus : now;
}

/* ---- A vCPU ---- */

/* One element, with its trail if the map has them. */
static int compute_one(const struct fm_tier_cloud_map *map, const struct fm_tier_cloud_span *span,
                       size_t i)
{
    fastmap_func *func;
    const size_t trail = FM_WIRE_WORKER_TRAIL_BYTES;
    const bool has_in = map->in_size > (map->trail ? trail : 0);
    const bool has_out = map->out_size > (map->trail ? trail : 0);
    const char *in = (const char *)span->in + i * map->in_size;
    char *out = (char *)span->out + i * map->out_size;
    memcpy(&func, &map->function, sizeof func);
    const double begun = now();
    const int code = func(has_in ? in : NULL, has_out ? out : NULL, map->shared);
    if (map->trail) {
        const uint64_t index = fm_wire_worker_trail_get((const uint8_t *)in + map->in_size - trail);
        fm_wire_worker_trail_put(
            (uint8_t *)out + map->out_size - trail,
            stand_in.is_boastful ? UINT64_MAX : (uint64_t)((now() - begun) * 1e9), code);
        int64_t none = -1;
        (void)atomic_compare_exchange_strong(&stand_in.first_index, &none, (int64_t)index);
    }
    return code;
}

static void compute(const struct fm_cloud *cloud, struct item *item)
{
    const struct fm_tier_cloud_map *map = &cloud->map;
    struct fm_tier_cloud_answer *answer = &item->answer;
    const double begun = now();
    for (size_t i = 0; i < item->span.count; i++) {
        const int64_t spent = atomic_load(&stand_in.spent);
        if (stand_in.fault == STAND_IN_CUTS && spent >= map->budget) {
            answer->status = FM_TIER_CLOUD_CUT;
            (void)snprintf(answer->why, sizeof answer->why, "the hold is used up");
            break;
        }
        if (stand_in.fault == STAND_IN_KILLS && answer->id == 10) {
            answer->status = FM_TIER_CLOUD_DIED;
            answer->failures[answer->failures_listed++] = (struct fm_tier_cloud_failure){
                .index = item->span.first + i, .count = 1, .signal = 11};
            answer->failed++;
            (void)snprintf(answer->why, sizeof answer->why, "an element died of signal 11");
            break;
        }
        const int code = compute_one(map, &item->span, i);
        if (code != 0 && answer->failures_listed < FM_TIER_CLOUD_FAILURES)
            answer->failures[answer->failures_listed++] = (struct fm_tier_cloud_failure){
                .index = item->span.first + i, .count = 1, .code = code};
        answer->failed += code != 0 ? 1 : 0;
        if (stand_in.fault == STAND_IN_LIES)
            ((char *)item->span.out)[i * map->out_size] ^= 1;
        answer->computed++;
        atomic_fetch_add(&stand_in.spent, stand_in.price / 1000);
    }
    answer->cpu_s = now() - begun;
    answer->spent = atomic_load(&stand_in.spent) - cloud->before;
}

static void answer_item(struct fm_cloud *cloud, struct item *item)
{
    const int number = cloud->spans++;
    item->answer = (struct fm_tier_cloud_answer){.id = item->span.id};
    if ((stand_in.fault == STAND_IN_GOES || stand_in.fault == STAND_IN_STALLS) && number >= 5) {
        item->answer.status = FM_TIER_CLOUD_OVER;
        (void)snprintf(item->answer.why, sizeof item->answer.why, "the service is gone");
    } else if (stand_in.fault == STAND_IN_LOSES && number % 3 == 2) {
        item->answer.status = FM_TIER_CLOUD_LOST;
    } else {
        pthread_mutex_unlock(&cloud->mutex);
        compute(cloud, item);
        pthread_mutex_lock(&cloud->mutex);
    }
}

static void *vcpu(void *argument)
{
    struct fm_cloud *cloud = argument;
    pthread_mutex_lock(&cloud->mutex);
    while (!cloud->ending) {
        if (cloud->waiting == 0 || cloud->busy >= vcpus_of(cloud)) {
            pthread_cond_wait(&cloud->changed, &cloud->mutex);
            continue;
        }
        struct item *item = cloud->inbox[0];
        memmove(&cloud->inbox[0], &cloud->inbox[1],
                (size_t)--cloud->waiting * sizeof cloud->inbox[0]);
        cloud->busy++;
        pthread_mutex_unlock(&cloud->mutex);
        const double early = item->due - now();
        if (early > 0)
            nap(early);
        pthread_mutex_lock(&cloud->mutex);
        answer_item(cloud, item);
        item->due = now() + stand_in.round_trip / 2;
        item->answer.vcpus = vcpus_of(cloud);
        cloud->busy--;
        if (stand_in.fault == STAND_IN_STALLS && item->answer.status == FM_TIER_CLOUD_OVER)
            free(item);
        else
            cloud->outbox[cloud->answered++] = item;
        pthread_cond_broadcast(&cloud->changed);
    }
    pthread_mutex_unlock(&cloud->mutex);
    return NULL;
}

/* ---- The contract ---- */

static bool account_of(struct fm_cloud *cloud, struct fm_tier_cloud_account *account,
                       char why[FM_TIER_CLOUD_WHY])
{
    (void)cloud;
    (void)why;
    *account = (struct fm_tier_cloud_account){.balance = stand_in.balance,
                                              .price = stand_in.price,
                                              .vcpus = stand_in.vcpus,
                                              .trail = !stand_in.is_old,
                                              .round_trip = stand_in.round_trip};
    return true;
}

static struct fm_cloud *connect_to(const struct fm_tier_cloud_service *service,
                                   struct fm_tier_cloud_account *account,
                                   char why[FM_TIER_CLOUD_WHY])
{
    atomic_fetch_add(&stand_in.connects, 1);
    if (stand_in.fault == STAND_IN_REFUSES) {
        (void)snprintf(why, FM_TIER_CLOUD_WHY, "nobody listens at %s: start it", service->url);
        return NULL;
    }
    struct fm_cloud *cloud = calloc(1, sizeof *cloud);
    pthread_mutex_init(&cloud->mutex, NULL);
    pthread_cond_init(&cloud->changed, NULL);
    cloud->give_up = service->give_up;
    nap(stand_in.round_trip);
    for (int i = 0; i < stand_in.vcpus; i++)
        pthread_create(&cloud->threads[i], NULL, vcpu, cloud);
    (void)account_of(cloud, account, why);
    return cloud;
}

static struct fm_tier_cloud_grant granted(const struct fm_cloud *cloud)
{
    return (struct fm_tier_cloud_grant){.vcpus = vcpus_of(cloud),
                                        .hold = cloud->map.budget,
                                        .span_bytes = 1 << 20,
                                        .spans_in_flight = 256};
}

static bool open_map(struct fm_cloud *cloud, const struct fm_tier_cloud_map *map,
                     struct fm_tier_cloud_grant *grant, char why[FM_TIER_CLOUD_WHY])
{
    if (cloud->rests && cloud->map.function == map->function && cloud->map.trail == map->trail) {
        cloud->rests = false;
        cloud->before = atomic_load(&stand_in.spent);
        *grant = granted(cloud);
        return true;
    }
    if (cloud->rests)
        atomic_fetch_add(&stand_in.closes, 1);
    cloud->rests = false;
    atomic_fetch_add(&stand_in.opens, 1);
    if (stand_in.fault == STAND_IN_OPENS_NOT) {
        (void)snprintf(why, FM_TIER_CLOUD_WHY, "the balance is used up: add credit");
        return false;
    }
    for (int i = 0; stand_in.fault == STAND_IN_OPENS_SLOWLY && i < 50; i++) {
        if (atomic_load(cloud->give_up))
            return false;
        nap(0.01);
    }
    nap(stand_in.round_trip);
    cloud->map = *map;
    cloud->open = true;
    cloud->spans = 0;
    cloud->before = atomic_load(&stand_in.spent);
    atomic_store(&stand_in.budget, map->budget);
    *grant = granted(cloud);
    return true;
}

static bool send_span(struct fm_cloud *cloud, const struct fm_tier_cloud_span *span)
{
    struct item *item = calloc(1, sizeof *item);
    *item = (struct item){.span = *span, .sent = now(), .due = now() + stand_in.round_trip / 2};
    atomic_fetch_add(&stand_in.spans, 1);
    pthread_mutex_lock(&cloud->mutex);
    cloud->inbox[cloud->waiting++] = item;
    pthread_cond_broadcast(&cloud->changed);
    pthread_mutex_unlock(&cloud->mutex);
    return true;
}

static int due_item(const struct fm_cloud *cloud)
{
    for (int i = 0; i < cloud->answered; i++)
        if (cloud->outbox[i]->due <= now())
            return i;
    return -1;
}

static bool poll_answer(struct fm_cloud *cloud, double seconds, struct fm_tier_cloud_answer *answer)
{
    const double end = now() + seconds;
    bool any = false;
    pthread_mutex_lock(&cloud->mutex);
    while (!any && !cloud->woken && now() < end) {
        const int at = due_item(cloud);
        if (at >= 0) {
            struct item *item = cloud->outbox[at];
            *answer = item->answer;
            answer->seconds = now() - item->sent;
            cloud->outbox[at] = cloud->outbox[--cloud->answered];
            free(item);
            any = true;
            break;
        }
        pthread_mutex_unlock(&cloud->mutex);
        nap(0.0002);
        pthread_mutex_lock(&cloud->mutex);
    }
    cloud->woken = false;
    pthread_mutex_unlock(&cloud->mutex);
    return any;
}

static void wake(struct fm_cloud *cloud)
{
    pthread_mutex_lock(&cloud->mutex);
    cloud->woken = true;
    pthread_mutex_unlock(&cloud->mutex);
}

static void close_map(struct fm_cloud *cloud, struct fm_tier_cloud_bill *bill)
{
    pthread_mutex_lock(&cloud->mutex);
    while (cloud->waiting > 0)
        free(cloud->inbox[--cloud->waiting]);
    while (cloud->busy > 0)
        pthread_cond_wait(&cloud->changed, &cloud->mutex);
    while (cloud->answered > 0)
        free(cloud->outbox[--cloud->answered]);
    atomic_fetch_add(&stand_in.closes, cloud->open ? 1 : 0);
    cloud->open = false;
    cloud->rests = false;
    pthread_mutex_unlock(&cloud->mutex);
    *bill = (struct fm_tier_cloud_bill){.charged = atomic_load(&stand_in.spent) - cloud->before,
                                        .balance = stand_in.balance - atomic_load(&stand_in.spent),
                                        .confirmed = true};
}

static bool rest(struct fm_cloud *cloud, struct fm_tier_cloud_bill *bill)
{
    pthread_mutex_lock(&cloud->mutex);
    cloud->rests = cloud->open && cloud->waiting + cloud->busy + cloud->answered == 0;
    pthread_mutex_unlock(&cloud->mutex);
    *bill = (struct fm_tier_cloud_bill){.charged = atomic_load(&stand_in.spent) - cloud->before};
    return cloud->rests;
}

static void disconnect(struct fm_cloud *cloud)
{
    pthread_mutex_lock(&cloud->mutex);
    cloud->ending = true;
    pthread_cond_broadcast(&cloud->changed);
    pthread_mutex_unlock(&cloud->mutex);
    for (int i = 0; i < stand_in.vcpus; i++)
        pthread_join(cloud->threads[i], NULL);
    free(cloud);
}

const struct fm_tier_cloud stand_in_tier = {
    .version = FM_TIER_CLOUD_VERSION,
    .connect = connect_to,
    .account = account_of,
    .open = open_map,
    .send = send_span,
    .poll = poll_answer,
    .wake = wake,
    .close = close_map,
    .rest = rest,
    .disconnect = disconnect,
};
