/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fastmap.h
 * fastmap: a drop-in, parallel `map`.
 *
 * fastmap(f, in, in_size, out, out_size, n, shared, shared_size) replaces
 *
 *     for (i = 0; i < n; i++) f(in + i * in_size, out + i * out_size, shared);
 *
 * and is meant never to be slower than that loop. The call starts computing in the calling thread at
 * once; other threads join when measurement shows that they shorten the map. Results do not depend on
 * who computed them.
 *
 * Conventions, for every call below:
 * - Functions return 0 or a negative FASTMAP_ERR_* code. After a failure fastmap_last_error() gives, in
 *   the calling thread, one sentence that says what was wrong, where, and what to do.
 * - Bad arguments and bad configuration are found before any element runs: outputs are untouched.
 * - Sizes are in bytes, counts in elements, times in seconds, unless a name says otherwise.
 * - Memory belongs to the caller; the library keeps no pointer once a call has returned.
 * - "Threads: any" means callable from any thread at any time, also from inside an element function.
 *
 * C11; the header also compiles as C++11 (the FASTMAP_*() initialiser macros need C++20 there).
 */
#ifndef FASTMAP_H
#define FASTMAP_H

#include <stddef.h>

#define FASTMAP_VERSION_MAJOR 0
#define FASTMAP_VERSION_MINOR 1
#define FASTMAP_VERSION_PATCH 0

#if defined(__GNUC__)
#define FASTMAP_API __attribute__((visibility("default")))
#else
#define FASTMAP_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Error codes ------------------------------------------------------------------------------- */

/** What a call can return besides 0. fastmap_strerror() has a general sentence for each. */
enum fastmap_error {
    FASTMAP_ERR_ARGUMENT = -1, /**< an argument is NULL, zero or out of its range */
    FASTMAP_ERR_OVERFLOW = -2, /**< n times an element size does not fit the address space */
    FASTMAP_ERR_OVERLAP = -3,  /**< arrays share memory so that results would depend on order */
    FASTMAP_ERR_ELEMENT = -4,  /**< the function returned non-zero for some element */
    FASTMAP_ERR_CONFIG = -5,   /**< an unknown configuration key or value, or unreadable file */
    FASTMAP_ERR_SECRET = -6,   /**< a secret file is missing, malformed or open to others */
    FASTMAP_ERR_MEMORY = -7,   /**< no memory for the library's own bookkeeping */
    FASTMAP_ERR_STATE = -8,    /**< not allowed now, such as finalizing during a map */
    FASTMAP_ERR_RANKS = -9,    /**< the ranks of the job do not call the same map */
    FASTMAP_ERR_PROGRAM = -10, /**< no other process can have the function or its program */
    FASTMAP_ERR_VERIFY = -11   /**< an element gave other results in a worker than in the process */
};

/* ---- Element functions ------------------------------------------------------------------------- */

/**
 * Computes one element.
 *
 * @param in      the element's input, in_size bytes; NULL in a map over indices. Read only.
 * @param out     the element's output, out_size bytes, to be filled; NULL if out_size is 0.
 * @param shared  the map's shared block, the same for every element. Read only.
 * @return 0 for success; any other value marks the element as failed and is kept in the report.
 *
 * Threads: called from several threads at once for different elements, so it must not write to memory
 * that other elements read or write. Calling fastmap() inside is fine. Leaving it by longjmp or by a
 * C++ exception is undefined.
 */
typedef int fastmap_func(const void *in, void *out, const void *shared);

/**
 * Computes a run of consecutive elements, for functions that vectorise or share set-up work.
 *
 * @param in      input of element `first`; `count` elements of in_size bytes follow. NULL over indices.
 * @param out     output of element `first`; room for `count` elements of out_size bytes.
 * @param first   global index of the first element in the block.
 * @param count   elements in the block, at least 1. Chosen by the library from one call to the next.
 * @param shared  the map's shared block.
 * @return 0 for success; any other value marks all `count` elements as failed.
 *
 * Threads: as for fastmap_func.
 */
typedef int fastmap_block_func(const void *in, void *out, size_t first, size_t count,
                               const void *shared);

/* ---- The drop-in call -------------------------------------------------------------------------- */

/**
 * Computes out[i] = func(in[i]) for all i in [0, n), on as many threads as shorten the work.
 *
 * @param func         the function of one element; not NULL.
 * @param in           n * in_size bytes, input; or NULL with in_size 0: a map over indices, in which
 *                     the function asks fastmap_index() for its element.
 * @param in_size      bytes of one input element.
 * @param out          n * out_size bytes, output; or NULL with out_size 0. out == in with equal sizes is
 *                     the in-place map. Every other overlap with in or shared is an error.
 * @param out_size     bytes of one output element.
 * @param n            number of elements; 0 is success and touches nothing.
 * @param shared       read-only block that every element sees, or NULL.
 * @param shared_size  its bytes; 0 with a non-NULL pointer passes the pointer as it is.
 * @return 0, or a code of enum fastmap_error.
 *
 * Threads: any. The calling thread computes too. Its rounding mode and floating-point control state
 * hold in every thread that helps, and the exception flags that they raise are raised in the caller.
 * Errors: ARGUMENT (NULL func; a NULL array with a size, or an array with size 0), OVERFLOW, OVERLAP,
 * ELEMENT (all other elements have been computed), CONFIG and SECRET (only from the first call, which
 * reads the configuration), MEMORY.
 * Ranks: under mpirun the call is collective. Every rank passes the elements that it owns (n may be 0) and
 * gets its own results; function, sizes, error policy and shared block must be the same on all, else all get
 * RANKS. One map at a time: a second thread's waits. See ranks in struct fastmap_config.
 * Undefined: an element that writes outside its output, or waits for another element of the same map;
 * returning into a map in the child of a fork() made inside an element.
 * Since: 0.1
 */
FASTMAP_API int fastmap(fastmap_func *func, const void *in, size_t in_size, void *out,
                        size_t out_size, size_t n, const void *shared, size_t shared_size);

/**
 * The global index of the element that the calling thread is computing.
 *
 * @return the index in [0, n) of the innermost map; in a block function, the block's `first`; outside
 *         any element (size_t)-1.
 *
 * Threads: any.  Errors: none.  Since: 0.1
 */
FASTMAP_API size_t fastmap_index(void);

/* ---- The same call with everything that can be said --------------------------------------------- */

/** What happens to the elements not yet begun when one fails. */
enum fastmap_on_error {
    FASTMAP_ON_ERROR_CONTINUE = 0, /**< they are computed; the report lists the failures */
    FASTMAP_ON_ERROR_STOP = 1      /**< they are not begun; the report says how many ran */
};

/** Whose elements the ranks of an MPI job pass. */
enum fastmap_spread {
    FASTMAP_SPREAD_OWNED = 0, /**< each rank its own; each gets its own results */
    FASTMAP_SPREAD_REPLICATED =
        1 /**< all ranks the same; each element is computed once, all get all results */
};

/** Where the elements of a map run on this machine. */
enum fastmap_workers {
    FASTMAP_WORKERS_DEFAULT = 0,  /**< environment, file, else THREADS */
    FASTMAP_WORKERS_THREADS = 1,  /**< in threads of this process */
    FASTMAP_WORKERS_PROCESSES = 2 /**< each thread has a worker process compute them: for functions
                                       that are not thread-safe, and for isolation */
};

/** Whether one early element is computed twice, in this process and in a worker, and compared. */
enum fastmap_verify {
    FASTMAP_VERIFY_DEFAULT = 0, /**< environment, file, else OFF */
    FASTMAP_VERIFY_OFF = 1,     /**< it is not */
    FASTMAP_VERIFY_ON = 2 /**< it is, where there are worker processes; a difference is VERIFY */
};

/** One map. Fill it with FASTMAP_MAP(); every field left out is zero and means "the default". */
struct fastmap_map {
    size_t size;                    /**< set by FASTMAP_MAP(): lets the struct grow */
    fastmap_func *func;             /**< the function of one element, or ... */
    fastmap_block_func *block;      /**< ... of a run of elements: one of the two */
    const void *in;                 /**< as in fastmap() */
    size_t in_size;                 /**< bytes */
    void *out;                      /**< as in fastmap() */
    size_t out_size;                /**< bytes */
    size_t n;                       /**< elements */
    const void *shared;             /**< as in fastmap() */
    size_t shared_size;             /**< bytes */
    const char *label;              /**< names the map in progress and closing lines; NULL: "map" */
    enum fastmap_on_error on_error; /**< CONTINUE or STOP */
    double element_seconds;         /**< expected cost of one element, where the caller knows;
                                    0: learned meanwhile. A wrong hint costs time, not results */
    enum fastmap_spread spread;     /**< OWNED or REPLICATED; without MPI the same */
    enum fastmap_workers workers;   /**< THREADS or PROCESSES. A worker is this program without
                                    what its main() has done; see fastmap(3) */
    int retries;                /**< how often an element that has crashed in a process, has called
                                    exit() or was too late is computed once more; not where the
                                    function has returned non-zero */
    double element_timeout;     /**< seconds that an element may take, of a block function a block;
                                    0: no limit. It ends the element's worker: PROCESSES only */
    enum fastmap_verify verify; /**< ON or OFF */
};

/** A struct fastmap_map from designated initialisers: FASTMAP_MAP(.func = f, .n = n, ...). */
#ifdef __cplusplus
#define FASTMAP_MAP(...) (fastmap_map{.size = sizeof(struct fastmap_map), __VA_ARGS__})
#else
#define FASTMAP_MAP(...) ((struct fastmap_map){.size = sizeof(struct fastmap_map), __VA_ARGS__})
#endif

/** Who computed an element. */
enum fastmap_tier {
    FASTMAP_TIER_LOCAL = 0, /**< a thread of this process */
    FASTMAP_TIER_MPI = 1,   /**< another rank of the job */
    FASTMAP_TIER_CLOUD = 2  /**< the cloud */
};

/** What else than a signal can have ended an element's worker. */
enum fastmap_ending {
    FASTMAP_ENDING_EXIT = -1,    /**< the element has called exit(), with the status in `code` */
    FASTMAP_ENDING_TIMEOUT = -2, /**< it has taken longer than element_timeout */
    FASTMAP_ENDING_LOST = -3 /**< the worker said what cannot be, or has gone, nobody knows how */
};

/** One failed element. */
struct fastmap_failure {
    size_t index;           /**< its global index; of a failed block, the first element */
    int code;               /**< what the function returned */
    enum fastmap_tier tier; /**< where it ran */
    int rank;               /**< on which rank of the job; 0 without MPI */
    int signal; /**< the signal that ended its worker, or of enum fastmap_ending; 0: the function
                                 returned */
};

#define FASTMAP_REPORT_FAILURES 8 /**< failures that a report has room for */
#define FASTMAP_REPORT_SAID 256   /**< bytes that it has for what the cloud said */

/** Why the cloud was used for a map, or was not. fastmap_explain() says it with its figures. */
enum fastmap_cloud_use {
    FASTMAP_CLOUD_UNSET = 0,     /**< not asked: no token or no cloud_url is set */
    FASTMAP_CLOUD_POLICY = 1,    /**< not asked: the policy is LOCAL */
    FASTMAP_CLOUD_ELSEWHERE = 2, /**< not asked from here: the map was inside an element or beside
                                    another, or another rank of the job talks to the cloud */
    FASTMAP_CLOUD_SHORT = 3,   /**< not asked: the rest would have been done before it could help */
    FASTMAP_CLOUD_NO_GAIN = 4, /**< asked, but it would not have shortened the map by enough */
    FASTMAP_CLOUD_DECLINED = 5, /**< asked, but nobody agreed to charges: see cloud_said */
    FASTMAP_CLOUD_NO_MONEY = 6, /**< the balance or max_charge is used up: see cloud_said */
    FASTMAP_CLOUD_FAILED = 7,   /**< it failed, now or in an earlier map: see cloud_said */
    FASTMAP_CLOUD_LATE = 8,     /**< wanted, but the map was over before its first result */
    FASTMAP_CLOUD_USED = 9      /**< it computed elements */
};

/** What a map did. Start from FASTMAP_REPORT(), which sets the size field. */
struct fastmap_report {
    size_t size;            /**< sizeof(struct fastmap_report): set by FASTMAP_REPORT() */
    size_t elements;        /**< elements computed, failed ones included */
    size_t failed;          /**< of these, how many failed */
    size_t failures_listed; /**< valid entries in failures */
    struct fastmap_failure failures[FASTMAP_REPORT_FAILURES]; /**< lowest indices, ascending */
    double seconds;                                           /**< wall time of the call */
    double loop_seconds; /**< the plain loop's, estimated: the threads' busy time, summed */
    int workers;         /**< most threads that computed at once, the caller included */
    size_t spans_stolen; /**< how often a thread took elements from another */
    size_t away;         /**< own elements that other ranks or the cloud computed */
    size_t cloud;        /**< of these, how many the cloud computed */
    double dollars;      /**< US$ that the map has cost in the cloud */
    int ranks;           /**< ranks that computed the map together; 1 without MPI */
    /* What was decided, and by which figures; 0: not known, or not needed. */
    enum fastmap_cloud_use cloud_use; /**< why the cloud was used, or was not */
    double local_rate;                /**< own elements a second, computed by this process */
    double ranks_rate;                /**< by other ranks */
    double cloud_rate;                /**< by the cloud, while it took part */
    double cloud_round_trip;          /**< seconds, of a small call */
    double cloud_bytes_per_s;         /**< that the way to the cloud carried */
    double cloud_left_seconds; /**< that the rest would have taken without the cloud when that was
                                    decided, and ... */
    double cloud_with_seconds; /**< ... with it */
    int cloud_vcpus;           /**< that the map was granted, at last: they come and go */
    int cloud_vcpus_wished;  /**< that were asked for: those of the account, or max_cloud_workers */
    int cloud_vcpus_account; /**< that a map of the account may have */
    char cloud_said[FASTMAP_REPORT_SAID]; /**< a sentence where something is wrong, else "" */
};

/** An empty report: struct fastmap_report report = FASTMAP_REPORT(); */
#ifdef __cplusplus
#define FASTMAP_REPORT() (fastmap_report{sizeof(struct fastmap_report)})
#else
#define FASTMAP_REPORT() ((struct fastmap_report){.size = sizeof(struct fastmap_report)})
#endif

/**
 * Runs a map in the process-wide session.
 *
 * @param map     the map; not NULL, its size field set.
 * @param report  filled, also on FASTMAP_ERR_ELEMENT; untouched on other errors. NULL: not wanted.
 * @return 0, or a code of enum fastmap_error.
 *
 * Threads, Errors, Undefined: as for fastmap(). ARGUMENT also where both or none of func and block are
 * set, where a size field is not one that this library knows, or where a number is negative or of no use. In
 * worker processes also PROGRAM (this program cannot be its own worker, or shared has no size), and VERIFY.
 * Since: 0.1
 */
FASTMAP_API int fastmap_run(const struct fastmap_map *map, struct fastmap_report *report);

/**
 * A report in words: who computed what share at which rate, and why the cloud was used or was not, with the
 * figures that decided it; a line each, without an end after the last. What LOUD prints after a map.
 *
 * @param report  as a map has filled it.
 * @param text    for the lines; 1 KiB is enough.
 * @param bytes   its size, at least 1; what does not fit is left out.
 * @return 0, or ARGUMENT.
 *
 * Threads: any.  Since: 0.1
 */
FASTMAP_API int fastmap_explain(const struct fastmap_report *report, char *text, size_t bytes);

/**
 * Sets the ranks that maps of this process are computed by. fastmap_mpi.h has it as
 * fastmap_set_comm(MPI_Comm); a Fortran communicator is the argument itself.
 *
 * @param fortran_comm  a communicator by its Fortran handle; it is duplicated, and stays the caller's. The
 *                      null communicator: this process computes alone.
 * @return 0; STATE during a map; RANKS where MPI is not up or no plugin fits it: maps then stay in
 *         their rank.
 *
 * Threads: one at a time, none inside a map. Collective over the communicator.  Since: 0.1
 */
FASTMAP_API int fastmap_set_comm_f(int fortran_comm);

/**
 * Computes what others ask for, until they need no more: as a rank that owns no elements, with the maps of
 * the other ranks of the MPI job; in a process that fastmap started as a worker, with the spans that it is
 * sent. A program's main usually ends in it on ranks that only help:
 *
 *     if (rank > 0) { fastmap_serve(); MPI_Finalize(); return 0; }
 *
 * The function of a map must lie in the program or in a library, its shared block must have a size, and its
 * spread must be OWNED: else all ranks get RANKS. What main() did before is all that the rank knows: globals
 * that only another rank has set are not there.
 *
 * @return 0 when another rank has called fastmap_global_finalize() or MPI_Finalize(), or exits; STATE where
 *         there is nothing to serve (no MPI job, one rank, ranks = OFF, inside an element); CONFIG, SECRET,
 *         MEMORY as in fastmap_global_init().
 *
 * Threads: one, outside maps; that which called MPI_Init below MPI_THREAD_SERIALIZED.  Since: 0.1
 */
FASTMAP_API int fastmap_serve(void);

/* ---- Configuration and sessions ----------------------------------------------------------------- */

/** Where maps may run. */
enum fastmap_exec_policy {
    FASTMAP_EXEC_POLICY_DEFAULT = 0,  /**< environment, file, else ADAPTIVE */
    FASTMAP_EXEC_POLICY_ADAPTIVE = 1, /**< wherever it pays, of the tiers there are */
    FASTMAP_EXEC_POLICY_LOCAL = 2,    /**< never outside this machine and its MPI job */
    FASTMAP_EXEC_POLICY_CLOUD = 3 /**< in the cloud as far as it can; this process coordinates */
};

/** How much is said on standard error. */
enum fastmap_verbosity {
    FASTMAP_VERBOSITY_DEFAULT = 0, /**< environment, file, else NORMAL */
    FASTMAP_VERBOSITY_SILENT = 1,  /**< nothing at all */
    FASTMAP_VERBOSITY_QUIET = 2,   /**< warnings */
    FASTMAP_VERBOSITY_NORMAL = 3,  /**< also progress and closing lines of maps that last */
    FASTMAP_VERBOSITY_LOUD = 4     /**< also closing lines of all maps, and decisions */
};

/** Whether worker threads are bound to cores. */
enum fastmap_bind {
    FASTMAP_BIND_DEFAULT = 0, /**< environment, file, else CORE */
    FASTMAP_BIND_CORE = 1,    /**< each worker to one core */
    FASTMAP_BIND_NONE = 2     /**< the operating system places them */
};

/** Whether a map that lasts shows how far it is. */
enum fastmap_progress {
    FASTMAP_PROGRESS_DEFAULT = 0, /**< environment, file, else AUTO */
    FASTMAP_PROGRESS_AUTO = 1,    /**< one updated line on a terminal, else a line now and then */
    FASTMAP_PROGRESS_OFF = 2      /**< never */
};

/** Whether the ranks of an MPI job compute a map together. */
enum fastmap_ranks {
    FASTMAP_RANKS_DEFAULT = 0, /**< environment, file, else AUTO */
    FASTMAP_RANKS_AUTO = 1,    /**< they do: every rank makes the call (it is collective) */
    FASTMAP_RANKS_OFF = 2      /**< each call stays in its rank, as without MPI */
};

/** Whether the user is asked before a map costs money. */
enum fastmap_confirm {
    FASTMAP_CONFIRM_DEFAULT = 0, /**< environment, file, else AUTO */
    FASTMAP_CONFIRM_AUTO = 1,    /**< yes, unless max_charge says what may be spent */
    FASTMAP_CONFIRM_ON = 2,      /**< yes; where nobody can be asked, that counts as no */
    FASTMAP_CONFIRM_OFF = 3      /**< no */
};

/** What a map would take and cost; from fastmap_estimate(), and shown before charges. */
struct fastmap_forecast {
    size_t size;             /**< sizeof(struct fastmap_forecast): set by FASTMAP_FORECAST() */
    double element_seconds;  /**< an element's cost on one thread here */
    double local_seconds;    /**< the map without the cloud */
    double adaptive_seconds; /**< with it; the same where it does not pay */
    size_t cloud;            /**< elements that the cloud would compute */
    int vcpus;               /**< of the cloud, that the account is granted; 0: it was not asked */
    double dollars;          /**< US$ for these elements, and ... */
    double dollars_least; /**< ... its range: it holds in nine of ten maps whose elements are like
                                  those seen, by how these scatter and how few they are; a factor of 2
                                  where nothing is known but element_seconds */
    double dollars_most;
    double balance; /**< US$ that the account has */
};

/** An empty estimate: struct fastmap_forecast estimate = FASTMAP_FORECAST(); */
#ifdef __cplusplus
#define FASTMAP_FORECAST() (fastmap_forecast{sizeof(struct fastmap_forecast)})
#else
#define FASTMAP_FORECAST() ((struct fastmap_forecast){.size = sizeof(struct fastmap_forecast)})
#endif

/**
 * Answers for the user where charges are to be confirmed: non-zero is yes. Called by a thread of the library
 * while the map goes on; it may take its time, and must not call fastmap. Under MPI on rank 0, whichever rank
 * talks to the service.
 */
typedef int fastmap_confirm_func(const struct fastmap_forecast *estimate, void *context);

/**
 * A session's settings. Each may also come from the environment (FASTMAP_ + upper-case name) or from a
 * file ($FASTMAP_CONFIG, else ~/.config/fastmap/config, lines `key = value`). This struct wins over the
 * environment, the environment over the file. A field left 0 or NULL says nothing.
 */
struct fastmap_config {
    size_t size;             /**< sizeof(struct fastmap_config): set by FASTMAP_CONFIG() */
    const char *secret;      /**< API token of the cloud service; copied */
    const char *secret_file; /**< file that holds the token; refused if others can read it */
    enum fastmap_exec_policy exec_policy; /**< see above */
    enum fastmap_verbosity verbosity;     /**< see above */
    int max_local_workers;                /**< threads that compute, the caller included, 1 to 4096;
                                               0: one per core that the process may use */
    enum fastmap_bind bind;               /**< see above; read when the threads are first made */
    enum fastmap_progress progress;       /**< see above */
    enum fastmap_ranks ranks;             /**< see above */
    enum fastmap_workers workers;         /**< of maps that do not say */
    enum fastmap_verify verify;           /**< likewise */
    const char *cloud_url;                /**< the cloud service, https://host:port; copied */
    const char *cloud_ca_file; /**< PEM certificates that it is checked by; NULL: the system's */
    const char *cloud_pin;     /**< its certificate's public key, sha256//BASE64; NULL: any */
    const char *max_charge;    /**< US$ that the maps of the session may cost together, at most,
                                               such as "0.25"; NULL: what the account has */
    int max_cloud_workers;     /**< vCPUs that a map may have in the cloud, 1 to 65536; 0: as many
                                               as the account is granted */
    enum fastmap_confirm confirm_charges; /**< see above */
    fastmap_confirm_func *confirm;        /**< asked instead of the terminal; NULL: the terminal */
    void *confirm_context;                /**< what it gets */
};

/** A struct fastmap_config from designated initialisers. */
#ifdef __cplusplus
#define FASTMAP_CONFIG(...) (fastmap_config{.size = sizeof(struct fastmap_config), __VA_ARGS__})
#else
#define FASTMAP_CONFIG(...) \
    ((struct fastmap_config){.size = sizeof(struct fastmap_config), __VA_ARGS__})
#endif

/** A set of settings under which maps run. All sessions share one pool of threads. */
struct fastmap_session;

/**
 * Configures the process-wide session. Optional: the first map does it with the environment and file.
 *
 * @param config  settings; NULL: environment, file and defaults only.
 * @return 0, or CONFIG, SECRET, ARGUMENT (unknown size field or value out of range), STATE (the
 *         process-wide session exists already), MEMORY.
 *
 * Threads: any; the first call wins.  Since: 0.1
 */
FASTMAP_API int fastmap_global_init(const struct fastmap_config *config);

/**
 * Ends the process-wide session, and the worker threads with the last session. Optional at exit. A
 * later map starts anew.
 *
 * @return 0, also where there was nothing to end; STATE while a map of that session runs.
 *
 * Threads: any, outside element functions. Undefined: while another thread is calling fastmap() or
 * fastmap_run().  Since: 0.1
 */
FASTMAP_API int fastmap_global_finalize(void);

/**
 * Makes a session of its own, with settings of its own.
 *
 * @param config   as in fastmap_global_init().
 * @param session  set to the new session, to be ended by fastmap_finalize(); untouched on failure.
 * @return 0, or CONFIG, SECRET, ARGUMENT, MEMORY.
 *
 * Threads: any.  Since: 0.1
 */
FASTMAP_API int fastmap_init(const struct fastmap_config *config, struct fastmap_session **session);

/**
 * Runs a map in the given session. As fastmap_run() otherwise.
 *
 * @param session  from fastmap_init(); NULL: the process-wide session.
 * @param map      see fastmap_run().
 * @param report   see fastmap_run().
 *
 * Threads: any; several maps may run in one session at once.  Since: 0.1
 */
FASTMAP_API int fastmap_session_run(struct fastmap_session *session, const struct fastmap_map *map,
                                    struct fastmap_report *report);

/**
 * What a map would take here and with the cloud, and what that would cost. Nothing is spent.
 *
 * @param session   the session it would run in; NULL: the process-wide one.
 * @param map       as in fastmap_run(). Where the cost of its elements is not known from element_seconds or
 *                  earlier maps, its first ones are computed for up to a tenth of a second; their outputs
 *                  go nowhere.
 * @param estimate  filled; its size field set. Without a cloud (see cloud_url) the local part of it.
 * @return 0; ARGUMENT, OVERFLOW, OVERLAP as fastmap_run(); MEMORY.
 *
 * Threads: any. Asks the cloud for the account, over a connection of its own.  Since: 0.1
 */
FASTMAP_API int fastmap_estimate(struct fastmap_session *session, const struct fastmap_map *map,
                                 struct fastmap_forecast *estimate);

/**
 * Ends a session made by fastmap_init() and frees it.
 *
 * @param session  the session; NULL is allowed and does nothing.
 * @return 0; STATE while one of its maps runs (the session stays).
 *
 * Threads: any, outside element functions; no other call may use the session any more.  Since: 0.1
 */
FASTMAP_API int fastmap_finalize(struct fastmap_session *session);

/* ---- Errors and version -------------------------------------------------------------------------- */

/**
 * The general sentence for a code.
 *
 * @param code  0 or a code of enum fastmap_error; others give "unknown error".
 * @return a constant string; never NULL.
 *
 * Threads: any.  Since: 0.1
 */
FASTMAP_API const char *fastmap_strerror(int code);

/**
 * What went wrong in the calling thread's last failing fastmap call: what, where, and what to do.
 *
 * @return a string that stays until this thread's next failing call; "" if none has failed.
 *
 * Threads: any; each thread has its own.  Since: 0.1
 */
FASTMAP_API const char *fastmap_last_error(void);

/**
 * The version of the loaded library.
 *
 * @return a constant string such as "0.1.0".
 *
 * Threads: any.  Since: 0.1
 */
FASTMAP_API const char *fastmap_version(void);

#ifdef __cplusplus
}
#endif

#endif /* FASTMAP_H */
