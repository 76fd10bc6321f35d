/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The cloud as one more rank of a map: it asks, is given elements and answers with results by the same
 * messages and the same ledger as any other (sched/ranks.h), except that its rank number is one that no
 * process has, and that its side runs here.
 *
 *     cloud.c     its part in a map, and its life
 *     pieces.c    its side of the ledger: parcels that it was given, pieces of them that wait or fly
 *     courier.c   the thread that carries pieces to the service and answers back
 *     witness.c   an element of each map that is computed here, too, and compared
 *     link.c      what answers say of the link and of the service's speed
 *     pace.c      how fast both sides are, the split, spans
 *     purse.c     whether it pays: time gained, money, the user's yes
 *     question.c  where that yes is to be had: on rank 0
 *     reason.c    what was decided and why, for people
 *
 * What waits has not been sent and can be taken back at any time, by the ledger's own rules: so nothing is
 * lost by giving the cloud too much, and a service that fails leaves nothing behind but what flew.
 *
 * All of it is protected by the world's mutex; functions are called under it unless they say otherwise. The
 * courier holds it only to pick pieces and to hand in answers.
 */
#ifndef FM_ENGINE_CLOUD_H
#define FM_ENGINE_CLOUD_H

#include <stdatomic.h>

#include "base/fenv.h"
#include "engine/group.h"
#include "engine/reason.h"
#include "sched/split.h"
#include "tier/cloud.h"

struct fm_engine_letter;

/* A run of elements of a parcel. */
struct fm_engine_piece {
    struct fm_engine_piece *next;
    struct fm_engine_parcel *parcel;
    size_t first; /* index in the owner's map, or its position where that has a course */
    size_t count;
    double work; /* of its elements, in elements of mean cost */
    uint64_t id; /* of its span; 0: it waits */
    uint64_t sent_ticks;
    double expected_ns;                  /* until it is back, from then */
    double computed_ns;                  /* the same, if moving bytes took no time; of which ... */
    double alone_ns;                     /* ... so long for its own elements */
    size_t ahead;                        /* elements that were on their way, these included */
    char *in;                            /* while it flies, where elements have trails */
    char *out;                           /* while it flies */
    bool given_up;                       /* somebody else computes it: its answer comes too late */
    struct fm_tier_cloud_answer *answer; /* that it has come back with, while it is held */
};

/* What the cloud was given with one message, whose bytes it keeps. */
struct fm_engine_parcel {
    struct fm_engine_parcel *next;
    int slot; /* in the cloud's ledger; -1: delivered, or the map is over */
    size_t first;
    size_t count;
    char *bytes;
    const char *in;
    char *out;
    int flying; /* pieces on their way or held: its inputs stay */
    struct fm_engine_tally tally;
};

/* What spans have shown of the link, of some together. */
struct fm_engine_link {
    int spans;
    uint64_t from_ticks; /* since when ... */
    double back_bytes;   /* ... these have come back */
    double ahead_bytes;  /* on their way when each was sent, itself included */
    double alone_s;      /* with nothing sent before them, on a link that moves bytes in no time */
    double expected_s, taken_s; /* less what connecting took: */
    double away_s;
};

/* What has come back while every vCPU had a span on its way. */
struct fm_engine_supply {
    int spans;
    uint64_t from_ticks; /* since when */
    double bytes;
    double own_s; /* for which it kept vCPUs busy, together */
};

/* The element that is computed here, too. */
struct fm_engine_witness {
    pthread_t thread;
    bool made;     /* the thread */
    bool runs;     /* it uses the map */
    bool knows;    /* the output is there */
    uint64_t span; /* whose first element it is; 0: none */
    size_t first;
    struct fastmap_map map; /* of that element */
    char *in, *out;
};

enum fm_engine_verdict { FM_ENGINE_VERDICT_NONE, FM_ENGINE_VERDICT_SAME, FM_ENGINE_VERDICT_OTHER };

enum fm_engine_cloud_state {
    FM_ENGINE_CLOUD_IDLE,    /* not wanted (yet) */
    FM_ENGINE_CLOUD_WANTED,  /* the courier connects, asks, opens the map */
    FM_ENGINE_CLOUD_OPEN,    /* spans fly */
    FM_ENGINE_CLOUD_CLOSING, /* the courier settles */
    FM_ENGINE_CLOUD_BROKEN   /* not used any more in this session */
};

/* About charges: on the rank that talks to the cloud what it asks rank 0, on rank 0 what it is asked. */
struct fm_engine_question {
    int number;                      /* of the map's last one; 0: there was none */
    int answered;                    /* the last one with an answer */
    bool yes;                        /* that is this, */
    char why[256];                   /* and why, where it is no */
    struct fastmap_forecast figures; /* size 0: it is taken back */
    bool news;                       /* it is to be sent: by rank 0 the answer */
    bool asking;                     /* rank 0's courier, or it is about to */
    int from;                        /* who asks rank 0 */
};

struct fm_engine_cloud {
    struct fm_engine_cloud *next; /* of all in the process */
    bool orphaned;                /* by a fork: its courier runs in another process */
    struct fm_engine_world *world;
    struct fastmap_session *session;
    _Atomic(const struct fm_tier_cloud *)
        tier; /* NULL: not loaded, since another rank talks to it */
    struct fm_tier_cloud_service service;
    /* The courier. */
    pthread_t thread;
    pthread_cond_t changed; /* with the world's mutex */
    bool made;              /* the thread */
    bool ending;
    bool preparing;   /* the courier connects, asks and opens, and uses the map's shared block */
    bool unreachable; /* nobody answers where the service should be */
    _Atomic bool give_up;
    struct fm_cloud *connection; /* the courier's, but for wake() */
    struct fm_tier_cloud_account account;
    enum fm_engine_cloud_state state;
    double bytes_per_s;       /* that its link has carried one way, last time; 0: unknown */
    bool held_up;             /* it carries no more */
    uint64_t link_free_ticks; /* when it should have carried what was sent */
    struct fm_engine_link link;
    struct fm_engine_supply supply;
    uint64_t asked_ticks;   /* when the account was last asked for; 0: it is to be asked again */
    double open_s;          /* from being wanted to the first span, last time; 0: never */
    const void *resting;    /* the function whose map rests at the service; NULL: none */
    uint64_t rests_ticks;   /* since when */
    uint64_t decline_ticks; /* when it was last found not to pay; 0: never */
    /* The map that it takes part in. */
    struct fm_engine_group *group; /* NULL: none */
    pid_t caller;                  /* the thread that called it, ... */
    uint64_t caller_waited_ns;     /* ... and for how long that had waited for a processor before */
    uint64_t maps;                 /* entered so far: tells one from the next */
    uint64_t carried;              /* the one that the courier works for */
    bool distrusted;               /* it computed something else: nothing more is believed */
    struct fm_sched_ranks sched;
    struct fm_sched_edge edge; /* to this process */
    struct fm_engine_letter *outbox;
    struct fm_engine_parcel *parcels;
    struct fm_engine_piece *waiting;
    struct fm_engine_piece *flying;
    struct fm_engine_piece *held; /* back, and waiting for the witness */
    struct fm_engine_witness witness;
    size_t waiting_elements;
    double waiting_work;
    size_t flying_elements;
    double flying_work;
    int flying_spans;
    uint64_t landed_ticks; /* when something last came back */
    uint64_t spans;        /* sent so far: their names */
    struct fm_tier_cloud_map offer;
    struct fm_tier_cloud_grant grant;
    struct fm_base_fenv fenv;
    double worth;    /* threads of this rank that it is as good as */
    bool alone;      /* all is to be computed there */
    bool over;       /* no more spans are sent for this map */
    bool verified;   /* an element was computed here too, with the same result */
    unsigned raised; /* floating-point exceptions */
    size_t returned; /* elements that have come back computed */
    double cost_s;   /* CPU time of an element of mean cost there, 0: unknown */
    double rate;     /* such elements a second that come back, 0: unknown */
    double rated;    /* of them, in so many elements and spans, since ... */
    size_t rated_elements;
    int rated_spans;
    uint64_t rated_from_ticks;
    uint64_t done_ticks;            /* when the service should have computed all that was sent */
    struct fm_engine_reason reason; /* why it takes part, or does not */
    struct fm_engine_question question;
    /* Money, in nano-dollars. */
    int64_t spent_before; /* by the session's earlier maps in the cloud */
    int64_t settling;     /* by the last one, which the courier settles */
    int64_t spent;        /* by this map */
};

/* ---- cloud.c ---- */

/* Whether the session asks for one. Costs nothing. */
static inline bool fm_engine_cloud_is_set(const struct fastmap_session *session)
{
    return session->settings.secret != NULL && session->settings.cloud_url != NULL &&
           session->settings.exec_policy != FASTMAP_EXEC_POLICY_LOCAL;
}

/* After fork(), in the child: there are no couriers. */
void fm_engine_cloud_after_fork(void);

/* The session's cloud, or NULL: none is set, no plugin (said once). Without the mutex. */
struct fm_engine_cloud *fm_engine_cloud_of(struct fastmap_session *session);

/* For tests: what is used instead of the plugin. */
void fm_engine_cloud_use(const struct fm_tier_cloud *tier);

/* The process exits: all couriers end, before what they use does. */
void fm_engine_cloud_exit(void);

/* The account, over a connection of its own. False: the cloud is not to be had. Without the mutex. */
bool fm_engine_cloud_account(struct fastmap_session *session,
                             struct fm_tier_cloud_account *account);

/* Ends it and its courier. Without the mutex. */
void fm_engine_cloud_end(struct fm_engine_cloud *cloud);

/* Joins the group's map as one more rank, if it is free to; group->cloud is set then. True: it alone is to
   compute. Without the mutex. */
bool fm_engine_cloud_enter(struct fm_engine_group *group);

/* Leaves it. Memory of pieces that fly stays until the courier is done with them. */
void fm_engine_cloud_leave(struct fm_engine_group *group);

/* To be called now and then while it takes part: sends for the courier when that pays. */
void fm_engine_cloud_consider(struct fm_engine_cloud *cloud);

/* The course of the map that it takes part in; NULL: that has none. */
static inline const struct fm_tier_course *
fm_engine_cloud_course(const struct fm_engine_cloud *cloud)
{
    return cloud->group->course != NULL ? &cloud->group->course->all : NULL;
}

/* Nothing more is worth sending at present: what waits goes back to whoever asks. */
void fm_engine_cloud_rest(struct fm_engine_cloud *cloud);

/* Its side delivers so many elements a second as so many threads of this rank would; spans may fly. */
void fm_engine_cloud_ready(struct fm_engine_cloud *cloud, double workers);

/* Whether it alone should compute: the policy is CLOUD, and it has not failed. */
bool fm_engine_cloud_is_alone(const struct fm_engine_cloud *cloud);

/* No more spans will be sent: what waits is to be taken back. */
void fm_engine_cloud_over(struct fm_engine_cloud *cloud);

/* ---- gateway.c ---- */

/* Whether it is this rank that talks to the cloud. */
bool fm_engine_gateway_is_here(const struct fm_engine_world *world);

/* It is not to be reached from here: the next rank's turn. False: there is only this one. */
bool fm_engine_gateway_pass(struct fm_engine_cloud *cloud, const char *why);

/* Tells the next one, if that is due. By a thread that talks to other ranks. */
void fm_engine_gateway_tell(struct fm_engine_group *group);

/* A message about whose turn it is. */
void fm_engine_gateway_hear(struct fm_engine_group *group, int from, int turn);

/* Once, where it is not rank 0's any more: a line about it. */
void fm_engine_gateway_say(const struct fm_engine_cloud *cloud);

/* What the map has cost in the cloud, as far as this rank knows; in dollars for rank 0's report, without the
   mutex. */
int64_t fm_engine_gateway_spent(const struct fm_engine_group *group);
double fm_engine_gateway_dollars(struct fm_engine_group *group);

/* ---- pieces.c ---- */

extern const struct fm_sched_ports fm_engine_pieces_ports;

/* A message to it: it keeps or frees the bytes. */
void fm_engine_pieces_receive(struct fm_engine_cloud *cloud, char *bytes);

/* Whether there are messages from it; cloud may be NULL. */
bool fm_engine_pieces_stir(const struct fm_engine_cloud *cloud);

/* Its messages to this rank. True: there were some. */
bool fm_engine_pieces_poll(struct fm_engine_group *group);

/* The piece that waits and of which the next span is to be cut, from its end: where elements are in order
   these are the dearest. NULL: none. */
struct fm_engine_piece *fm_engine_pieces_next(const struct fm_engine_cloud *cloud);

/* For the courier: at most so many elements of it, cut off and marked as flying; NULL: none, or no memory.
   What became of a piece that flew: its first `computed` elements are there. */
struct fm_engine_piece *fm_engine_pieces_pick(struct fm_engine_cloud *cloud, size_t count);
void fm_engine_pieces_landed(struct fm_engine_cloud *cloud, struct fm_engine_piece *piece,
                             const struct fm_tier_cloud_answer *answer);

/* One has come back, and is held with its answer; without memory for that it lands as if nothing had been
   computed. All that are held land: with their answers, or likewise. */
void fm_engine_pieces_hold(struct fm_engine_cloud *cloud, struct fm_engine_piece *piece,
                           const struct fm_tier_cloud_answer *answer);
void fm_engine_pieces_release(struct fm_engine_cloud *cloud, bool good);

/* Much later than it should be back, by what was on its way before it. */
bool fm_engine_pieces_is_overdue(const struct fm_engine_piece *piece);

/* What follows from a change. */
void fm_engine_pieces_turn(struct fm_engine_cloud *cloud);

/* For how long it has been away. */
double fm_engine_pieces_age_ns(const struct fm_engine_piece *piece);

/* How long its elements, all of which are back with their trails, have taken there. */
double fm_engine_pieces_taken_ns(const struct fm_engine_cloud *cloud,
                                 const struct fm_engine_piece *piece);

/* The rate is known better: what flies is expected no later than it would be if it were sent now. */
void fm_engine_pieces_expect(struct fm_engine_cloud *cloud);

/* The service takes so many times longer from now on: what flies is expected no sooner than if it were sent
   now. */
void fm_engine_pieces_delay(struct fm_engine_cloud *cloud, double factor);

/* Whether nothing has come back since a piece was sent that is late: what is sent now would be late, too. */
bool fm_engine_pieces_is_silent(const struct fm_engine_cloud *cloud);

/* Whether a piece that flies would be here sooner if it were computed here. */
bool fm_engine_pieces_can_be_taken(const struct fm_engine_cloud *cloud);

/* For how long the one that is overdue has been away; 0: none is. */
double fm_engine_pieces_late_ns(const struct fm_engine_cloud *cloud);

/* Elements whose results are there and wait for the rest of what came with them. */
size_t fm_engine_pieces_held(const struct fm_engine_cloud *cloud);

/* The map is over: all goes but what flies. */
void fm_engine_pieces_drop(struct fm_engine_cloud *cloud);

/* ---- courier.c ---- */

/* The map is over: the courier gives up what it is doing for it, and settles. Waits until it uses nothing of
   the map any more. */
void fm_engine_courier_part(struct fm_engine_cloud *cloud);

/* Says to the user why the cloud is not used. */
void fm_engine_courier_warn(const struct fastmap_session *session, const char *why);

/* Ends the courier, once. Without the mutex. */
void fm_engine_courier_end(struct fm_engine_cloud *cloud);

/* Wakes the courier: there is something to decide. */
void fm_engine_courier_call(struct fm_engine_cloud *cloud);
bool fm_engine_courier_start(struct fm_engine_cloud *cloud);

/* ---- witness.c: called by the courier ---- */

/* Begins to compute the first element of a piece that flies or is held. */
void fm_engine_witness_call(struct fm_engine_cloud *cloud, const struct fm_engine_piece *piece);

/* What it says of what is held. */
enum fm_engine_verdict fm_engine_witness_hear(struct fm_engine_cloud *cloud);

/* Forgets it; it does not run. */
void fm_engine_witness_dismiss(struct fm_engine_cloud *cloud);

/* ---- link.c: called by the courier ---- */

/* Spans are about to be sent; a piece that flew has come back, with that answer; the map is over, for which
   the courier flew since then. */
void fm_engine_link_begin(struct fm_engine_cloud *cloud);
void fm_engine_link_note(struct fm_engine_cloud *cloud, const struct fm_engine_piece *piece,
                         const struct fm_tier_cloud_answer *answer);
void fm_engine_link_end(struct fm_engine_cloud *cloud, uint64_t begun);

/* The map has another number of vCPUs from now on; 0: the service does not say. */
void fm_engine_link_vcpus(struct fm_engine_cloud *cloud, int vcpus);

/* ---- purse.c ---- */

/* Whether a map could be long enough, before anything of it has run. Without the mutex. */
bool fm_engine_purse_might(const struct fastmap_session *session, const struct fastmap_map *map);

/* Whether a map of so many nanoseconds is too short to look. Pure. */
bool fm_engine_purse_is_short(double ns);

/* What a map could be planned for: this process's threads, and the cloud as far as it is known. False:
   nothing is, or it is an older one, to which elements go in their own order only. Without the mutex. */
bool fm_engine_purse_machine(struct fm_engine_cloud *cloud, struct fm_sched_machine *machine);

/* Whether the cloud would shorten the map by enough to ask for it. */
bool fm_engine_purse_wants(struct fm_engine_cloud *cloud);

/* Whether it still would, now that the service has said what it grants and costs, and the user agrees. Sets
   the budget. Without the mutex: it may ask. why: set where something is wrong, and *use says what; else it
   does not pay. */
bool fm_engine_purse_allows(struct fm_engine_cloud *cloud, enum fastmap_cloud_use *use,
                            char why[FM_TIER_CLOUD_WHY]);

/* The price of to->cloud elements of that cost on a vCPU, with its range where they scatter so. */
void fm_engine_purse_price(struct fastmap_forecast *to, double cost_ns,
                           const struct fm_sched_spread *spread,
                           const struct fm_tier_cloud_account *account);

/* What the cloud would do for a map that has not begun. Without the mutex. */
void fm_engine_purse_foresee(const struct fastmap_session *session, const struct fastmap_map *map,
                             double cost_ns, const struct fm_sched_spread *spread,
                             const struct fm_tier_cloud_account *account,
                             struct fastmap_forecast *to);

/* ---- pace.c ---- */

/* Workers that the service grants, or would. */
int fm_engine_pace_vcpus(const struct fm_engine_cloud *cloud);

/* Bytes of an element that the link carries: the larger of both ways, which are used at once. */
double fm_engine_pace_bytes(const struct fm_engine_cloud *cloud);

/* Bytes a second that the link is trusted to carry. */
double fm_engine_pace_trusted(const struct fm_engine_cloud *cloud);

/* What this side has not begun, the cloud's part that waits included, and what the cloud, which begins so
   much later, makes of it. */
struct fm_sched_offer fm_engine_pace_offer(const struct fm_engine_cloud *cloud, double more_s);

/* How much of it the cloud should get; *saved_s: how much sooner the map would end; infinite: this side
   computes nothing. Whether that is worth it. */
size_t fm_engine_pace_share(const struct fm_sched_offer *of, double *saved_s);
bool fm_engine_pace_is_worth(const struct fm_sched_offer *of, double saved_s);

/* To move an element. */
double fm_engine_pace_transport_ns(const struct fm_engine_cloud *cloud);

/* Whether it pays to send anything of what is left, with nothing on its way. */
bool fm_engine_pace_gains(const struct fm_engine_cloud *cloud);

/* A piece is sent now: for how long it should be away. */
void fm_engine_pace_sent(struct fm_engine_cloud *cloud, struct fm_engine_piece *piece);

/* For how long one of so many elements and so much work is at most, with all that flies before it. */
double fm_engine_pace_return_ns(const struct fm_engine_cloud *cloud, size_t count, double work);

/* For how long what is on its way lasts. */
double fm_engine_pace_ahead_ns(const struct fm_engine_cloud *cloud);

/* How many elements of the piece that is next the next span should have; 0: none should be sent now, since
   enough are on their way or (*pays is false) this side would be done sooner. And in how many seconds to ask
   again at the latest; infinite: when something has changed. */
double fm_engine_pace_pause_s(const struct fm_engine_cloud *cloud);
size_t fm_engine_pace_span(const struct fm_engine_cloud *cloud, bool *pays);

#endif
