/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one list of settings.
 */
#include "config_table.h"

#include "money.h"

#define FIELD(name) .key = #name, .field = offsetof(struct fmd_config, name)
#define STRING(name) FIELD(name), .kind = FMD_CONFIG_STRING
#define COUNT(name, from, to) FIELD(name), .kind = FMD_CONFIG_COUNT, .least = (from), .most = (to)
#define BYTES(name, from, to) FIELD(name), .kind = FMD_CONFIG_BYTES, .least = (from), .most = (to)
#define MONEY(name, from) \
    FIELD(name), .kind = FMD_CONFIG_MONEY, .least = (from), .most = FMD_NANO_MOST
#define WORDS(name, ...) FIELD(name), .kind = FMD_CONFIG_WORD, .words = {__VA_ARGS__}

#define KIB (INT64_C(1) << 10)
#define MIB (INT64_C(1) << 20)
#define TIB (INT64_C(1) << 40)

const struct fmd_config_row fmd_config_rows[] = {
    {STRING(state), .fallback = "",
     .doc = "Folder of ledger, certificate and blobs. Default: "
            "/var/lib/fastmapd for root, else ~/.local/state/fastmapd."},
    {STRING(ledger), .fallback = "",
     .doc =
         "Where accounts and money are: postgresql://USER@HOST/DATABASE, which several hosts can "
         "share, or the full path of an SQLite file. Default: ledger.db in the state folder."},
    {STRING(listen), .fallback = "127.0.0.1", .doc = "Address to listen on; :: is every address."},
    {COUNT(port, 0, 65535), .fallback = "0", .doc = "Port to listen on; 0: the system chooses."},
    {STRING(certificate), .fallback = "",
     .doc = "TLS certificate chain, PEM. Default: a self-signed one "
            "is made in the state folder."},
    {STRING(key), .fallback = "", .doc = "Private key of the certificate, PEM."},
    {MONEY(price, 1), .fallback = "0.05", .doc = "US$ for a vCPU-hour of CPU time."},
    {MONEY(first_credit, 0), .fallback = "10",
     .doc = "US$ of credit of the account that a fresh ledger begins with."},
    {MONEY(hold_least, 1), .fallback = "0.000013889", .doc = "US$ that a map holds at least."},
    {COUNT(vcpus, 0, 4096), .fallback = "0",
     .doc = "Workers that compute at the same time; 0: one for each processor."},
    {COUNT(connections, 1, 100000), .fallback = "1000", .doc = "Connections at the same time."},
    {COUNT(connections_address, 1, 100000), .fallback = "256",
     .doc = "Connections from one address."},
    {COUNT(header_s, 1, 3600), .fallback = "10",
     .doc = "Seconds until a request's headers are there."},
    {COUNT(body_s, 1, 86400), .fallback = "60",
     .doc = "Seconds until its body is there, and its answer is taken."},
    {COUNT(request_s, 1, 86400), .fallback = "300",
     .doc = "Seconds for a whole request, computing not counted."},
    {COUNT(keep_s, 1, 3600), .fallback = "60",
     .doc = "Seconds that a connection may wait for its next request."},
    {COUNT(drain_s, 0, 86400), .fallback = "60",
     .doc = "Seconds that SIGTERM leaves to running spans."},
    {COUNT(lease_s, 2, 86400), .fallback = "60",
     .doc = "Seconds without news of a daemon after which others give back what its maps hold."},
    {COUNT(skew_s, 1, 3600), .fallback = "60", .doc = "Seconds that a client's clock may differ."},
    {COUNT(attempts, 0, 1000000), .fallback = "20",
     .doc = "Failed signatures an address may have in a minute; 0: any number."},
    {BYTES(blob_bytes, 1, TIB), .fallback = "4G", .doc = "Size of a blob."},
    {BYTES(part_bytes, 4 * KIB, 1024 * MIB), .fallback = "64M", .doc = "Size of a part of a blob."},
    {BYTES(account_bytes, 1, 1024 * TIB), .fallback = "16G", .doc = "Blobs of an account."},
    {BYTES(store_bytes, 1, 1024 * TIB), .fallback = "64G", .doc = "Blobs of all accounts."},
    {BYTES(span_bytes, 4 * KIB, 1024 * MIB), .fallback = "64M",
     .doc = "Inputs of a span, and likewise its outputs."},
    {COUNT(spans_in_flight, 1, 4096), .fallback = "64",
     .doc = "Spans of a map that are sent at the same time."},
    {COUNT(spans_map, 1, 100000000), .fallback = "1000000", .doc = "Spans that a map can have."},
    {BYTES(kept_bytes, 0, TIB), .fallback = "64M",
     .doc = "Outputs of a map that are kept to be sent again."},
    {COUNT(maps_account, 1, 4096), .fallback = "16", .doc = "Open maps of an account."},
    {COUNT(map_idle_s, 1, 86400), .fallback = "120",
     .doc = "Seconds without a span after which a map is closed."},
    {COUNT(span_s, 1, 86400), .fallback = "600", .doc = "Seconds that a span may take."},
    {BYTES(worker_bytes, 0, TIB), .fallback = "0",
     .doc = "Memory of a worker; 0: 1 GiB, or less where not all would fit at the same time."},
    {BYTES(workers_bytes, 0, 1024 * TIB), .fallback = "0",
     .doc = "Memory of all workers together; 0: half of the machine's."},
    {COUNT(worker_idle_s, 0, 86400), .fallback = "10",
     .doc = "Seconds after which a worker with nothing to do is ended."},
    {WORDS(metrics, "loopback", "all", "off"), .fallback = "loopback",
     .doc = "Who may read /metrics."},
    {WORDS(log, "error", "info", "debug"), .fallback = "info",
     .doc = "How much is logged on standard error."},
    {.key = "run_programs_without_a_sandbox",
     .field = offsetof(struct fmd_config, unconfined),
     .kind = FMD_CONFIG_WORD,
     .words = {"no", "yes"},
     .fallback = "no",
     .doc = "yes: where the kernel has no sandbox to offer, anybody with a token runs any code as "
            "fastmapd's user."},
};

const size_t fmd_config_count = sizeof fmd_config_rows / sizeof fmd_config_rows[0];
