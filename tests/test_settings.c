/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where settings come from, who wins, and what is refused with which sentence. Each test has a folder of
 * its own as HOME, and an environment without FASTMAP_ variables.
 *
 * The linker routes the library's malloc() to __wrap_malloc() below, so that any one call can fail.
 */
#include <fastmap.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/secret.h"
#include "base/settings.h"
#include "base/settings_table.h"
#include "test.h"

#define TOKEN "s3cr3t-t0ken"

/* ---- Memory that runs out ------------------------------------------------------------------------- */

void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);

static int mallocs_left = INT_MAX;

void *__wrap_malloc(size_t bytes)
{
    return mallocs_left-- > 0 ? __real_malloc(bytes) : NULL;
}

/* ---- A home for each test ------------------------------------------------------------------------- */

static char home[128];
static struct fm_base_settings settings;

static void clear_environment(void)
{
    static const char *const names[] = {
        "CONFIG",    "SECRET",     "SECRET_FILE",       "EXEC_POLICY",    "VERBOSITY",
        "BIND",      "PROGRESS",   "MAX_LOCAL_WORKERS", "CLOUD_URL",      "CLOUD_CA_FILE",
        "CLOUD_PIN", "MAX_CHARGE", "MAX_CLOUD_WORKERS", "CONFIRM_CHARGES"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char name[64];
        snprintf(name, sizeof name, "FASTMAP_%s", names[i]);
        unsetenv(name);
    }
    unsetenv("XDG_CONFIG_HOME");
}

static const char *in_home(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", home, name);
    return path;
}

static void begin(void)
{
    clear_environment();
    const char *tmp = getenv("TMPDIR");
    snprintf(home, sizeof home, "%s/fastmap-settings-XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(home) == NULL)
        abort();
    setenv("HOME", home, 1);
    mkdir(in_home(".config"), 0700);
    mkdir(in_home(".config/fastmap"), 0700);
    memset(&settings, 0, sizeof settings);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status, (void)type, (void)where;
    return remove(path);
}

static void end(void)
{
    fm_base_settings_free(&settings);
    nftw(home, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    clear_environment();
}

static void write_bytes(const char *path, mode_t mode, const char *text, size_t length)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(text, 1, length, file) != length || fclose(file) != 0)
        abort();
    chmod(path, mode);
}

static void write_file(const char *name, mode_t mode, const char *text)
{
    write_bytes(in_home(name), mode, text, strlen(text));
}

static void write_config(const char *text)
{
    write_file(".config/fastmap/config", 0644, text);
}

static int load(const struct fastmap_config *config)
{
    fm_base_settings_free(&settings);
    return fm_base_settings_load(config, &settings);
}

/* Loading fails with the code; the sentence has the part, never the token; the output is untouched. */
static void check_refused(const struct fastmap_config *config, int code, const char *part)
{
    struct fm_base_settings before;
    load(NULL);
    memset(&settings, 0x55, sizeof settings);
    before = settings;
    CHECK_EQ_INT(fm_base_settings_load(config, &settings), code);
    CHECK_CONTAINS(fm_base_last_error(), part);
    CHECK_TRUE(strstr(fm_base_last_error(), TOKEN) == NULL, "%s", fm_base_last_error());
    CHECK_EQ_MEM(&settings, &before, sizeof settings);
    memset(&settings, 0, sizeof settings);
}

static void check_config_refused(const char *text, const char *part)
{
    write_config(text);
    check_refused(NULL, FASTMAP_ERR_CONFIG, part);
}

static void check_variable_refused(const char *name, const char *value, const char *part)
{
    setenv(name, value, 1);
    check_refused(NULL, FASTMAP_ERR_CONFIG, part);
    unsetenv(name);
}

/* ---- Sources and their order ------------------------------------------------------------------------ */

TEST(without_any_source_the_defaults_hold)
{
    begin();
    CHECK_EQ_INT(load(NULL), 0);
    CHECK_TRUE(settings.secret == NULL, "a secret from nowhere");
    CHECK_EQ_INT(settings.exec_policy, FASTMAP_EXEC_POLICY_ADAPTIVE);
    CHECK_EQ_INT(settings.verbosity, FASTMAP_VERBOSITY_NORMAL);
    CHECK_EQ_INT(settings.max_local_workers, 0);
    CHECK_EQ_INT(settings.bind, FASTMAP_BIND_CORE);
    CHECK_EQ_INT(settings.progress, FASTMAP_PROGRESS_AUTO);
    end();
}

TEST(the_struct_wins_over_the_environment_and_that_over_the_file)
{
    begin();
    write_config("verbosity = LOUD\nmax_local_workers = 3\nbind = NONE\n");
    setenv("FASTMAP_MAX_LOCAL_WORKERS", "5", 1);
    setenv("FASTMAP_VERBOSITY", "QUIET", 1);
    CHECK_EQ_INT(load(&FASTMAP_CONFIG(.verbosity = FASTMAP_VERBOSITY_SILENT)), 0);
    CHECK_EQ_INT(settings.verbosity, FASTMAP_VERBOSITY_SILENT);
    CHECK_EQ_INT(settings.max_local_workers, 5);
    CHECK_EQ_INT(settings.bind, FASTMAP_BIND_NONE);
    end();
}

TEST(auto_in_the_environment_overrides_a_number_in_the_file)
{
    begin();
    write_config("max_local_workers = 3\n");
    setenv("FASTMAP_MAX_LOCAL_WORKERS", "auto", 1);
    CHECK_EQ_INT(load(NULL), 0);
    CHECK_EQ_INT(settings.max_local_workers, 0);
    end();
}

TEST(an_empty_variable_says_nothing)
{
    begin();
    write_config("verbosity = LOUD\n");
    setenv("FASTMAP_VERBOSITY", "", 1);
    setenv("FASTMAP_CONFIG", "", 1);
    setenv("XDG_CONFIG_HOME", "", 1);
    CHECK_EQ_INT(load(NULL), 0);
    CHECK_EQ_INT(settings.verbosity, FASTMAP_VERBOSITY_LOUD);
    end();
}

TEST(fastmap_config_names_the_file_and_no_other_is_read)
{
    begin();
    write_config("nonsense\n");
    write_file("other", 0644, "verbosity = LOUD\n");
    setenv("FASTMAP_CONFIG", in_home("other"), 1);
    CHECK_EQ_INT(load(NULL), 0);
    CHECK_EQ_INT(settings.verbosity, FASTMAP_VERBOSITY_LOUD);
    setenv("FASTMAP_CONFIG", "/dev/null", 1);
    CHECK_EQ_INT(load(NULL), 0);
    CHECK_EQ_INT(settings.verbosity, FASTMAP_VERBOSITY_NORMAL);
    end();
}

TEST(a_named_file_must_exist_and_be_readable)
{
    begin();
    setenv("FASTMAP_CONFIG", in_home("missing"), 1);
    check_refused(NULL, FASTMAP_ERR_CONFIG, "missing: No such file or directory; correct or unset");
    setenv("FASTMAP_CONFIG", home, 1);
    check_refused(NULL, FASTMAP_ERR_CONFIG, "Is a directory");
    char name[PATH_MAX + 100];
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    setenv("FASTMAP_CONFIG", name, 1);
    check_refused(NULL, FASTMAP_ERR_CONFIG, "File name too long; correct or unset FASTMAP_CONFIG");
    end();
}

TEST(xdg_config_home_moves_the_default_file_if_it_is_absolute)
{
    begin();
    write_config("verbosity = LOUD\n");
    mkdir(in_home("fastmap"), 0700);
    write_file("fastmap/config", 0644, "verbosity = QUIET\n");
    setenv("XDG_CONFIG_HOME", home, 1);
    CHECK_EQ_INT(load(NULL), 0);
    CHECK_EQ_INT(settings.verbosity, FASTMAP_VERBOSITY_QUIET);
    setenv("XDG_CONFIG_HOME", "relative", 1);
    CHECK_EQ_INT(load(NULL), 0);
    CHECK_EQ_INT(settings.verbosity, FASTMAP_VERBOSITY_LOUD);
    end();
}

TEST(without_home_there_is_no_default_file)
{
    begin();
    unsetenv("HOME");
    CHECK_EQ_INT(load(NULL), 0);
    setenv("HOME", "/dev/null", 1); /* no directory: as good as missing */
    CHECK_EQ_INT(load(NULL), 0);
    end();
}

TEST(an_empty_environment_is_fine)
{
    begin();
    char **kept = environ;
    environ = NULL;
    const int rc = load(NULL);
    environ = kept;
    CHECK_EQ_INT(rc, 0);
    end();
}

/* ---- The file ------------------------------------------------------------------------------------- */

TEST(comments_blanks_quotes_crlf_and_a_byte_order_mark_are_understood)
{
    begin();
    write_config("\xEF\xBB\xBF# first\r\n\r\n  \t# second\r\n"
                 "  verbosity\t=  'Loud'  \r\nbind=\"none\"\nprogress = off");
    CHECK_EQ_INT(load(NULL), 0);
    CHECK_EQ_INT(settings.verbosity, FASTMAP_VERBOSITY_LOUD);
    CHECK_EQ_INT(settings.bind, FASTMAP_BIND_NONE);
    CHECK_EQ_INT(settings.progress, FASTMAP_PROGRESS_OFF);
    end();
}

TEST(an_unknown_key_is_refused_by_line_with_the_nearest_one)
{
    begin();
    check_config_refused("\nverbsity = LOUD\n",
                         "config:2: unknown key 'verbsity'; did you mean 'verbosity'?");
    check_config_refused("VERBOSITY = LOUD\n",
                         "config:1: unknown key 'VERBOSITY'; did you mean 'verbosity'?");
    check_config_refused("max-local-workers = 1\n", "did you mean 'max_local_workers'?");
    check_config_refused("colour = red\n",
                         "unknown key 'colour'; known: secret, secret_file, exec_policy, "
                         "verbosity, max_local_workers, bind, progress");
    check_config_refused("a_key_of_more_than_32_characters_in_all = 1\n",
                         "unknown key of 39 characters");
    end();
}

TEST(an_unknown_value_is_refused_by_line_with_what_is_accepted)
{
    begin();
    check_config_refused(
        "# a\nverbosity = LUOD\n",
        "config:2: verbosity: unknown value 'LUOD'; did you mean 'LOUD'? Accepted: SILENT, "
        "QUIET, NORMAL, LOUD");
    check_config_refused("bind = yes\n", "bind: unknown value 'yes'; accepted: CORE, NONE");
    check_config_refused("exec_policy = HERE\n", "accepted: ADAPTIVE, LOCAL, CLOUD");
    check_config_refused("progress = ON\n", "accepted: AUTO, OFF");
    check_config_refused("bind = CORE # each\n", "a comment needs a line of its own");
    check_config_refused("bind =\n", "bind has no value");
    check_config_refused("bind = \"\"\n", "bind has no value");
    check_config_refused("bind = \033[2J\n", "unknown value '?[2J'");
    end();
}

TEST(the_number_of_workers_is_1_to_4096_or_auto)
{
    begin();
    write_config("max_local_workers = 1\n");
    CHECK_EQ_INT(load(NULL), 0);
    CHECK_EQ_INT(settings.max_local_workers, 1);
    write_config("max_local_workers = 4096\n");
    CHECK_EQ_INT(load(NULL), 0);
    CHECK_EQ_INT(settings.max_local_workers, 4096);
    static const char *const wrong[] = {"0",   "4097",          "-1",  "+4", "4.0", "0x4",
                                        "4 4", "1000000000000", "four"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char text[64];
        snprintf(text, sizeof text, "max_local_workers = %s\n", wrong[i]);
        check_config_refused(text, "ccepted: 1 to 4096, AUTO");
    }
    end();
}

TEST(a_key_set_twice_is_refused_with_both_lines)
{
    begin();
    check_config_refused("bind = CORE\n\nbind = CORE\n", "config:3: bind is set already in line 1");
    end();
}

TEST(a_line_of_another_form_is_refused_and_not_shown)
{
    begin();
    check_config_refused("bind = CORE\n" TOKEN "\n",
                         "config:2: the line is not of the form key = value");
    check_config_refused("secret: " TOKEN "\n",
                         "config:1: the line is not of the form key = value");
    check_config_refused(" = " TOKEN "\n", "config:1: the line is not of the form key = value");
    end();
}

TEST(an_overlong_line_a_huge_file_and_a_nul_byte_are_refused)
{
    static char text[70000];
    begin();
    memset(text, 'x', sizeof text);
    text[5000] = '\0';
    check_config_refused(text, "config:1: the line is 5000 bytes long, more than 4352");
    memset(text, '\n', sizeof text);
    text[sizeof text - 1] = '\0';
    check_config_refused(text, "larger than 65536 bytes");
    write_bytes(in_home(".config/fastmap/config"), 0644, "bind = CO\0RE\n", 13);
    check_refused(NULL, FASTMAP_ERR_CONFIG, "config:1: the line has a NUL byte");
    end();
}

TEST(the_remedy_survives_a_long_path)
{
    begin();
    char path[400];
    int length = snprintf(path, sizeof path, "%s/", home);
    while (length < 300)
        length += snprintf(path + length, sizeof path - (size_t)length, "./././");
    snprintf(path + length, sizeof path - (size_t)length, "other");
    write_file("other", 0644, "verbsity = LOUD\n");
    setenv("FASTMAP_CONFIG", path, 1);
    check_refused(NULL, FASTMAP_ERR_CONFIG,
                  "/other:1: unknown key 'verbsity'; did you mean 'verbosity'?");
    CHECK_CONTAINS(fm_base_last_error(), "max_local_workers, bind, progress");
    end();
}

/* ---- The environment ------------------------------------------------------------------------------ */

TEST(an_unknown_variable_is_refused_with_the_nearest_one)
{
    begin();
    check_variable_refused(
        "FASTMAP_VERBOSTY", "LOUD",
        "unknown environment variable FASTMAP_VERBOSTY; did you mean FASTMAP_VERBOSITY?");
    check_variable_refused("FASTMAP_verbosity", "LOUD", "did you mean FASTMAP_VERBOSITY?");
    check_variable_refused("FASTMAP_TOKEN", TOKEN,
                           "unknown environment variable FASTMAP_TOKEN; unset it");
    check_variable_refused("FASTMAP_", "", "unknown environment variable FASTMAP_; unset it");
    check_variable_refused("FASTMAP_CONFIGS", "x", "unknown environment variable FASTMAP_CONFIGS");
    check_variable_refused("FASTMAP_A_NAME_THAT_GOES_ON_AND_ON_AND_ON_FOR_MORE_THAN_64_BYTES", "x",
                           "unknown environment variable FASTMAP_A_NAME_THAT_GOES");
    end();
}

TEST(what_a_process_tells_its_workers_is_no_setting)
{
    begin();
    setenv("FASTMAP_WORKER_FD", "3", 1);
    CHECK_EQ_INT(fm_base_settings_load(NULL, &settings), 0);
    fm_base_settings_free(&settings);
    unsetenv("FASTMAP_WORKER_FD");
    end();
}

TEST(an_unknown_value_is_refused_by_variable)
{
    begin();
    check_variable_refused("FASTMAP_VERBOSITY", "LOUDER",
                           "FASTMAP_VERBOSITY: unknown value 'LOUDER'; did you mean 'LOUD'?");
    check_variable_refused(
        "FASTMAP_MAX_LOCAL_WORKERS", "5000",
        "FASTMAP_MAX_LOCAL_WORKERS: unknown value '5000'; accepted: 1 to 4096, AUTO");
    check_variable_refused("FASTMAP_SECRET", TOKEN " x", "FASTMAP_SECRET has a space");
    end();
}

/* ---- The struct ----------------------------------------------------------------------------------- */

TEST(a_struct_of_unknown_size_is_refused)
{
    begin();
    struct fastmap_config config = {0};
    check_refused(&config, FASTMAP_ERR_ARGUMENT, "the field size of struct fastmap_config is 0");
    config.size = sizeof config + 1;
    check_refused(&config, FASTMAP_ERR_ARGUMENT, "or a newer one");
    config.size = offsetof(struct fastmap_config, progress);
    check_refused(&config, FASTMAP_ERR_ARGUMENT, "FASTMAP_CONFIG()");
    end();
}

TEST(a_struct_value_out_of_range_is_refused)
{
    begin();
    check_refused(
        &FASTMAP_CONFIG(.max_local_workers = 4097), FASTMAP_ERR_ARGUMENT,
        "max_local_workers of struct fastmap_config is 4097; accepted: 1 to 4096, AUTO (0)");
    check_refused(&FASTMAP_CONFIG(.max_local_workers = -1), FASTMAP_ERR_ARGUMENT, "is -1");
    check_refused(&FASTMAP_CONFIG(.verbosity = (enum fastmap_verbosity)5), FASTMAP_ERR_ARGUMENT,
                  "verbosity of struct fastmap_config is 5; accepted: SILENT (1), QUIET (2)");
    check_refused(&FASTMAP_CONFIG(.secret = ""), FASTMAP_ERR_ARGUMENT,
                  "secret of struct fastmap_config is empty");
    check_refused(&FASTMAP_CONFIG(.secret = TOKEN "\n"), FASTMAP_ERR_ARGUMENT,
                  "has a space or another");
    check_refused(&FASTMAP_CONFIG(.secret_file = ""), FASTMAP_ERR_ARGUMENT,
                  "secret_file of struct");
    end();
}

/* ---- The cloud ------------------------------------------------------------------------------------ */

#define PIN_A "sha256//0123456789abcdefghijklmnopqrstuvwxyzABCDEF+="
#define PIN_B "sha256//0123456789abcdefghijklmnopqrstuvwxyzABCDE/+="

TEST(without_any_source_there_is_no_cloud_and_no_limit)
{
    begin();
    CHECK_EQ_INT(load(NULL), 0);
    CHECK_TRUE(settings.cloud_url == NULL, "%s", settings.cloud_url);
    CHECK_TRUE(settings.cloud_ca_file == NULL, "%s", settings.cloud_ca_file);
    CHECK_TRUE(settings.cloud_pin == NULL, "%s", settings.cloud_pin);
    CHECK_EQ_INT(settings.max_charge, -1);
    CHECK_EQ_INT(settings.max_cloud_workers, 0);
    CHECK_EQ_INT(settings.confirm_charges, FASTMAP_CONFIRM_AUTO);
    end();
}

TEST(the_cloud_is_named_by_any_source)
{
    begin();
    write_config("cloud_url = https://file\ncloud_ca_file = /file.pem\nexec_policy = cloud\n"
                 "max_cloud_workers = 65536\nconfirm_charges = off\n");
    setenv("FASTMAP_CLOUD_URL", "https://environment:8443/", 1);
    setenv("FASTMAP_MAX_CHARGE", "12.000000001", 1);
    CHECK_EQ_INT(load(&FASTMAP_CONFIG(.cloud_pin = PIN_A)), 0);
    CHECK_EQ_STR(settings.cloud_url, "https://environment:8443/");
    CHECK_EQ_STR(settings.cloud_ca_file, "/file.pem");
    CHECK_EQ_STR(settings.cloud_pin, PIN_A);
    CHECK_EQ_INT(settings.max_charge, 12000000001);
    CHECK_EQ_INT(settings.max_cloud_workers, 65536);
    CHECK_EQ_INT(settings.confirm_charges, FASTMAP_CONFIRM_OFF);
    CHECK_EQ_INT(settings.exec_policy, FASTMAP_EXEC_POLICY_CLOUD);
    end();
}

TEST(the_service_is_an_https_address_and_nothing_more)
{
    static const char *const right[] = {"https://a", "HTTPS://a.b-c.io/", "https://10.0.0.1:1",
                                        "https://[::1]:65535"};
    static const char *const wrong[] = {
        "https://",        "https:///",       "https://a:",   "https://a:0",
        "https://a:65536", "https://a:8443x", "https://a/v1", "https://a?b",
        "https://a b",     "https://[::1",    "https://[]",   "https://a//"};
    begin();
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        CHECK_EQ_INT(load(&FASTMAP_CONFIG(.cloud_url = right[i])), 0);
        CHECK_EQ_STR(settings.cloud_url, right[i]);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        check_refused(&FASTMAP_CONFIG(.cloud_url = wrong[i]), FASTMAP_ERR_ARGUMENT,
                      "cloud_url of struct fastmap_config is not of the form https://host");
    check_variable_refused("FASTMAP_CLOUD_URL", "http://127.0.0.1:8443",
                           "FASTMAP_CLOUD_URL does not begin with https://");
    check_variable_refused("FASTMAP_CLOUD_URL", "https://me:" TOKEN "@a",
                           "FASTMAP_CLOUD_URL has a user or password in it");
    end();
}

TEST(pins_are_as_curl_has_them)
{
    static const char *const wrong[] = {"sha256//", "sha1//" PIN_A,      PIN_A ";",
                                        PIN_A "x",  PIN_A ";" PIN_A "=", ";" PIN_A};
    begin();
    CHECK_EQ_INT(load(&FASTMAP_CONFIG(.cloud_pin = PIN_A ";" PIN_B)), 0);
    CHECK_EQ_STR(settings.cloud_pin, PIN_A ";" PIN_B);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        check_refused(&FASTMAP_CONFIG(.cloud_pin = wrong[i]), FASTMAP_ERR_ARGUMENT,
                      "cloud_pin of struct fastmap_config is not a pin");
    end();
}

TEST(money_is_exact)
{
    static const struct {
        const char *text;
        int64_t nano;
    } right[] = {{"0", 0},
                 {"0.000000001", 1},
                 {"0.1", 100000000},
                 {"007", 7000000000},
                 {"999999999.999999999", 999999999999999999}};
    static const char *const wrong[] = {"-1",         "+1",   "1.",   ".5", "$1",
                                        "1,5",        "1e3",  " 1",   "1 ", "0.0000000001",
                                        "1000000000", "1.5.", "AUTO", "nan"};
    begin();
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        CHECK_EQ_INT(load(&FASTMAP_CONFIG(.max_charge = right[i].text)), 0);
        CHECK_EQ_INT(settings.max_charge, right[i].nano);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        check_refused(&FASTMAP_CONFIG(.max_charge = wrong[i]), FASTMAP_ERR_ARGUMENT,
                      "max_charge of struct fastmap_config is not an amount in US$");
    end();
}

/* ---- Secrets -------------------------------------------------------------------------------------- */

static const char *loaded_secret(void)
{
    return settings.secret != NULL ? settings.secret : "(none)";
}

static void check_secret_file_refused(const char *part)
{
    setenv("FASTMAP_SECRET_FILE", in_home("token"), 1);
    check_refused(NULL, FASTMAP_ERR_SECRET, part);
    CHECK_CONTAINS(fm_base_last_error(), in_home("token"));
    unsetenv("FASTMAP_SECRET_FILE");
}

TEST(the_secret_comes_from_any_source)
{
    begin();
    write_file(".config/fastmap/config", 0600, "secret = file-" TOKEN "\n");
    CHECK_EQ_INT(load(NULL), 0);
    CHECK_EQ_STR(loaded_secret(), "file-" TOKEN);
    setenv("FASTMAP_SECRET", "environment-" TOKEN, 1);
    CHECK_EQ_INT(load(NULL), 0);
    CHECK_EQ_STR(loaded_secret(), "environment-" TOKEN);
    CHECK_EQ_INT(load(&FASTMAP_CONFIG(.secret = TOKEN)), 0);
    CHECK_EQ_STR(loaded_secret(), TOKEN);
    end();
}

TEST(a_secret_file_gives_its_one_line)
{
    static const char *const texts[] = {TOKEN, TOKEN "\n", TOKEN "\r\n"};
    begin();
    setenv("FASTMAP_SECRET_FILE", in_home("token"), 1);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        write_file("token", 0400, texts[i]);
        CHECK_EQ_INT(load(NULL), 0);
        CHECK_EQ_STR(loaded_secret(), TOKEN);
        remove(in_home("token"));
    }
    end();
}

TEST(a_stronger_source_of_either_kind_replaces_a_weaker_one)
{
    begin();
    write_file(".config/fastmap/config", 0600, "secret = weak\n");
    write_file("token", 0600, TOKEN);
    setenv("FASTMAP_SECRET_FILE", in_home("token"), 1);
    CHECK_EQ_INT(load(NULL), 0);
    CHECK_EQ_STR(loaded_secret(), TOKEN);
    setenv("FASTMAP_SECRET_FILE", "/nowhere", 1);
    CHECK_EQ_INT(load(&FASTMAP_CONFIG(.secret = "strong")), 0);
    CHECK_EQ_STR(loaded_secret(), "strong");
    end();
}

TEST(secret_and_secret_file_in_one_source_are_refused)
{
    begin();
    check_refused(&FASTMAP_CONFIG(.secret = TOKEN, .secret_file = "/x"), FASTMAP_ERR_CONFIG,
                  "struct fastmap_config sets both secret and secret_file");
    setenv("FASTMAP_SECRET_FILE", "/x", 1);
    check_variable_refused("FASTMAP_SECRET", TOKEN, "the environment sets both");
    unsetenv("FASTMAP_SECRET_FILE");
    write_file(".config/fastmap/config", 0600, "secret = " TOKEN "\nsecret_file = /x\n");
    check_refused(NULL, FASTMAP_ERR_CONFIG, "the configuration file sets both");
    end();
}

TEST(a_secret_file_that_others_can_read_or_write_is_refused)
{
    static const mode_t modes[] = {0640, 0620, 0604, 0602, 0666};
    begin();
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        char part[64];
        snprintf(part, sizeof part, "(mode %03o); run: chmod 600 /", (unsigned)modes[i]);
        write_file("token", modes[i], TOKEN "\n");
        check_secret_file_refused(part);
    }
    end();
}

TEST(a_secret_file_must_exist_as_a_regular_file)
{
    begin();
    check_secret_file_refused("No such file or directory; check secret_file");
    mkdir(in_home("token"), 0700);
    check_secret_file_refused("is not a regular file");
    remove(in_home("token"));
    mkfifo(in_home("token"), 0600);
    check_secret_file_refused("is not a regular file");
    setenv("FASTMAP_SECRET_FILE", "~/token", 1);
    check_refused(NULL, FASTMAP_ERR_SECRET, "~ is not replaced here");
    end();
}

TEST(a_secret_file_behind_a_link_is_judged_by_its_target)
{
    begin();
    write_file("target", 0644, TOKEN);
    char target[256];
    snprintf(target, sizeof target, "%s", in_home("target"));
    CHECK_EQ_INT(symlink(target, in_home("token")), 0);
    check_secret_file_refused("chmod 600");
    chmod(target, 0600);
    setenv("FASTMAP_SECRET_FILE", in_home("token"), 1);
    CHECK_EQ_INT(load(NULL), 0);
    CHECK_EQ_STR(loaded_secret(), TOKEN);
    end();
}

TEST(a_secret_file_of_somebody_else_is_refused_unless_it_is_roots)
{
    struct stat status = {.st_mode = S_IFREG | 0600, .st_uid = geteuid() + 1};
    CHECK_EQ_INT(fm_base_secret_check_file("/x", &status), FASTMAP_ERR_SECRET);
    CHECK_CONTAINS(fm_base_last_error(), "/x holds a secret but belongs to user");
    status.st_uid = geteuid();
    CHECK_EQ_INT(fm_base_secret_check_file("/x", &status), 0);
    status.st_uid = 0;
    CHECK_EQ_INT(fm_base_secret_check_file("/x", &status), 0);
}

TEST(a_secret_file_with_more_than_one_token_is_refused)
{
    static char text[FM_BASE_SECRET_MAX + 2];
    begin();
    static const char *const wrong[] = {TOKEN " x", TOKEN "\nx\n", "\t" TOKEN, TOKEN "\n\n",
                                        "t\xC3\xB6ken"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        write_file("token", 0600, wrong[i]);
        check_secret_file_refused("a space or another character");
    }
    write_bytes(in_home("token"), 0600, "a\0b", 3);
    check_secret_file_refused("a space or another character");
    write_file("token", 0600, "\n");
    check_secret_file_refused("is empty");
    memset(text, 'x', FM_BASE_SECRET_MAX);
    write_file("token", 0600, text);
    setenv("FASTMAP_SECRET_FILE", in_home("token"), 1);
    CHECK_EQ_INT(load(NULL), 0);
    CHECK_EQ_SIZE(strlen(loaded_secret()), FM_BASE_SECRET_MAX);
    text[FM_BASE_SECRET_MAX] = 'x';
    write_file("token", 0600, text);
    check_secret_file_refused("larger than 4096 bytes");
    end();
}

TEST(a_configuration_file_with_a_secret_is_held_to_the_same_rule)
{
    begin();
    write_config("secret = " TOKEN "\n");
    check_refused(NULL, FASTMAP_ERR_SECRET,
                  "config holds a secret but others can read or write it (mode 644)");
    setenv("FASTMAP_SECRET", "stronger", 1); /* what is open to others stays open */
    check_refused(NULL, FASTMAP_ERR_SECRET, "run: chmod 600");
    end();
}

/* ---- Memory --------------------------------------------------------------------------------------- */

TEST(each_malloc_that_fails_is_the_memory_error_and_leaks_nothing)
{
    begin();
    write_file("token", 0600, TOKEN);
    write_config("bind = NONE\ncloud_url = https://a\ncloud_pin = " PIN_A "\n");
    setenv("FASTMAP_SECRET_FILE", in_home("token"), 1);
    int rc = FASTMAP_ERR_MEMORY;
    int failed = 0;
    while (rc != 0 && failed < 10) {
        mallocs_left = failed;
        rc = load(NULL);
        mallocs_left = INT_MAX;
        if (rc != 0) {
            CHECK_EQ_INT(rc, FASTMAP_ERR_MEMORY);
            CHECK_CONTAINS(fm_base_last_error(), "no memory");
            failed++;
        }
    }
    CHECK_EQ_INT(rc, 0);
    CHECK_EQ_INT(failed, 4);
    CHECK_EQ_STR(loaded_secret(), TOKEN);
    end();
}

/* ---- Documentation -------------------------------------------------------------------------------- */

static char *page;

static bool read_page(void)
{
    char path[512];
    const char *srcdir = getenv("srcdir");
    snprintf(path, sizeof path, "%s/docs/man/fastmap.conf.5", srcdir != NULL ? srcdir : ".");
    static char text[1 << 16];
    FILE *file = fopen(path, "r");
    if (!CHECK_TRUE(file != NULL, "%s cannot be opened; is srcdir set?", path))
        return false;
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    page = text;
    return true;
}

/* The page's entry is ".It Ic KEY No = ..." and has each accepted word; the variable is listed too. */
static void check_entry(char *row)
{
    char item[128];
    const char *key = strtok(row, "\t");
    const char *variable = strtok(NULL, "\t");
    char *accepted = strtok(NULL, "\t");
    snprintf(item, sizeof item, ".It Ic %s No = ", key);
    const char *entry = strstr(page, item);
    if (!CHECK_TRUE(entry != NULL, "fastmap.conf(5) has no \"%s\"", item))
        return;
    CHECK_CONTAINS(page, variable);
    for (const char *word = strtok(accepted, ", "); word != NULL; word = strtok(NULL, ", ")) {
        const char *found = strstr(entry, word);
        const char *next = strstr(entry + 1, ".It ");
        CHECK_TRUE(found != NULL && (next == NULL || found < next), "%s: %s is not explained", item,
                   word);
    }
}

TEST(every_row_of_the_table_is_in_the_manual_page)
{
    char table[4096];
    if (!read_page())
        return;
    FILE *to = fmemopen(table, sizeof table, "w");
    fm_base_settings_print(to);
    fclose(to);
    size_t rows = 0;
    char *rest = table;
    for (char *row = strsep(&rest, "\n"); row != NULL && row[0] != '\0';
         row = strsep(&rest, "\n")) {
        check_entry(row);
        rows++;
    }
    CHECK_EQ_SIZE(rows, FM_BASE_KEYS);
}
