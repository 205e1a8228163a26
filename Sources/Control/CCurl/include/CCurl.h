#ifndef CCURL_H
#define CCURL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The part of libcurl that pbctl uses, opened at run time: linking libcurl would load some thirty libraries at every
// start, and would make its headers a need of the build. Numbers are those of libcurl's stable ABI
// (include/curl/curl.h); where that header is installed, CCurl.c checks them at compile time.

enum {
    CCURL_OPTION_URL = 10002,
    CCURL_OPTION_ERROR_BUFFER = 10010,
    CCURL_OPTION_WRITE_FUNCTION = 20011,
    CCURL_OPTION_WRITE_DATA = 10001,
    CCURL_OPTION_HEADER_FUNCTION = 20079,
    CCURL_OPTION_HEADER_DATA = 10029,
    CCURL_OPTION_PROGRESS_FUNCTION = 20219,
    CCURL_OPTION_PROGRESS_DATA = 10057,
    CCURL_OPTION_NO_PROGRESS = 43,
    CCURL_OPTION_HTTP_HEADER = 10023,
    CCURL_OPTION_POST_FIELDS = 10015,
    CCURL_OPTION_POST_FIELD_SIZE = 30120,
    CCURL_OPTION_CUSTOM_REQUEST = 10036,
    CCURL_OPTION_USER_AGENT = 10018,
    CCURL_OPTION_FOLLOW_LOCATION = 52,
    CCURL_OPTION_NO_SIGNAL = 99,
    CCURL_OPTION_CONNECT_TIMEOUT_MS = 156,
    CCURL_OPTION_LOW_SPEED_LIMIT = 19,
    CCURL_OPTION_LOW_SPEED_TIME = 20,
    CCURL_OPTION_PROTOCOLS = 181,
    CCURL_OPTION_CA_FILE = 10065,
    CCURL_OPTION_BUFFER_SIZE = 98,
    CCURL_OPTION_TIMEOUT_MS = 155,
    CCURL_OPTION_HTTP_VERSION = 84,
    CCURL_OPTION_NO_PROXY = 10177,
};

enum {
    CCURL_HTTP_VERSION_1_1 = 2,
};

enum {
    CCURL_PROTOCOL_HTTP = 1,
    CCURL_PROTOCOL_HTTPS = 2,
};

enum {
    CCURL_INFO_RESPONSE_CODE = 0x200002,
    CCURL_INFO_REDIRECT_URL = 0x10001F,
};

enum {
    CCURL_OK = 0,
    CCURL_UNSUPPORTED_PROTOCOL = 1,
    CCURL_BAD_URL = 3,
    CCURL_PROXY_NOT_FOUND = 5,
    CCURL_HOST_NOT_FOUND = 6,
    CCURL_CANNOT_CONNECT = 7,
    CCURL_BODY_CUT_SHORT = 18,
    CCURL_WRITE_FAILED = 23,
    CCURL_TIMED_OUT = 28,
    CCURL_TLS_HANDSHAKE_FAILED = 35,
    CCURL_ABORTED_BY_CALLBACK = 42,
    CCURL_EMPTY_ANSWER = 52,
    CCURL_SEND_FAILED = 55,
    CCURL_RECEIVE_FAILED = 56,
    CCURL_CERTIFICATE_REFUSED = 60,
    CCURL_CA_FILE_UNREADABLE = 77,
    CCURL_HTTP2_STREAM_FAILED = 92,
};

enum {
    CCURL_URL_SCHEME = 1,
    CCURL_URL_HOST = 5,
    CCURL_URL_PORT = 6,
};

// An answer of fewer bytes than offered makes libcurl stop with CCURL_WRITE_FAILED.
typedef size_t (*ccurl_write_function)(char *bytes, size_t size, size_t count, void *context);
// A non-zero answer makes libcurl stop with CCURL_ABORTED_BY_CALLBACK. Called at least once a second.
typedef int (*ccurl_progress_function)(
    void *context, int64_t download_total, int64_t downloaded, int64_t upload_total, int64_t uploaded);

// Opens libcurl and readies it, once a process; any thread. False where it is absent or too old (before 7.62).
bool ccurl_load(void);
// What went wrong in ccurl_load, or NULL. Static storage.
const char *ccurl_load_error(void);
// Such as "libcurl/7.88.1 OpenSSL/3.0.15". Needs ccurl_load, as all below.
const char *ccurl_version(void);

// One transfer handle; used by one thread at a time. NULL without memory.
void *ccurl_easy_create(void);
void ccurl_easy_free(void *easy);
// Each gives a CCURL_ code. Strings are copied by libcurl, except the error buffer and post fields.
int ccurl_set_long(void *easy, int option, long value);
int ccurl_set_offset(void *easy, int option, int64_t value);
int ccurl_set_pointer(void *easy, int option, const void *value);
int ccurl_set_write_function(void *easy, int option, ccurl_write_function function);
int ccurl_set_progress_function(void *easy, ccurl_progress_function function);
// Runs the transfer to its end in the calling thread.
int ccurl_perform(void *easy);
// 0 / NULL where there is none. The text lives until the handle's next use.
long ccurl_info_long(void *easy, int info);
const char *ccurl_info_string(void *easy, int info);
const char *ccurl_error_text(int code);

// Many transfers in one thread. NULL without memory; the connections of ended transfers are kept for the next ones.
void *ccurl_multi_create(long connection_count);
// All transfers must have been removed.
void ccurl_multi_free(void *multi);
// Each false where libcurl refuses.
bool ccurl_multi_add(void *multi, void *easy);
bool ccurl_multi_remove(void *multi, void *easy);
// Moves all transfers on, calling their functions, without waiting. False where libcurl is broken or out of memory.
bool ccurl_multi_perform(void *multi);
// Waits for something to do, at most so long.
bool ccurl_multi_wait(void *multi, int milliseconds);
// The handle of a transfer that has ended and how (a CCURL_ code), each once; NULL where there is none.
void *ccurl_multi_next_ended(void *multi, int *code);

// Header lists: NULL is the empty list; NULL back means no memory, and the old list is still there.
void *ccurl_list_append(void *list, const char *text);
void ccurl_list_free(void *list);

// One part of a URL, as libcurl itself would read it; default ports filled in. To be freed by ccurl_text_free.
// NULL where the URL is malformed or lacks the part.
char *ccurl_url_part(const char *url, int part);
void ccurl_text_free(char *text);

#endif
