#define _GNU_SOURCE

#include "CCurl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

typedef int (*variadic_option)(void *, int, ...);

// libcurl's functions, by its own names.
static struct {
    int (*global_init)(long);
    char *(*version)(void);
    void *(*easy_init)(void);
    void (*easy_cleanup)(void *);
    variadic_option easy_setopt;
    variadic_option easy_getinfo;
    int (*easy_perform)(void *);
    const char *(*easy_strerror)(int);
    void *(*slist_append)(void *, const char *);
    void (*slist_free_all)(void *);
    void *(*url)(void);
    void (*url_cleanup)(void *);
    int (*url_set)(void *, int, const char *, unsigned);
    int (*url_get)(void *, int, char **, unsigned);
    void (*free)(void *);
    void *(*multi_init)(void);
    int (*multi_cleanup)(void *);
    int (*multi_setopt)(void *, int, ...);
    int (*multi_add_handle)(void *, void *);
    int (*multi_remove_handle)(void *, void *);
    int (*multi_perform)(void *, int *);
    int (*multi_wait)(void *, void *, unsigned, int, int *);
    void *(*multi_info_read)(void *, int *);
} curl;

// A message of curl_multi_info_read (struct CURLMsg).
struct message {
    int what;
    void *easy;
    union {
        void *other;
        int code;
    } data;
};
enum { MESSAGE_DONE = 1, MULTI_OPTION_CONNECTION_COUNT = 6 };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool is_loaded = false;
static char load_error[256];

// A function pointer from dlsym's object pointer; POSIX promises that the two have one representation.
static bool find(void *library, const char *name, void *function) {
    void *symbol = dlsym(library, name);
    if (symbol == NULL) {
        snprintf(load_error, sizeof load_error, "libcurl lacks %s (7.62 or later is needed)", name);
        return false;
    }
    *(void **)function = symbol;
    return true;
}

static void load(void) {
    static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4", "libcurl.so"};
    void *library = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && library == NULL; i++) {
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    }
    if (library == NULL) {
        snprintf(load_error, sizeof load_error, "libcurl.so.4 is not installed");
        return;
    }
    if (!find(library, "curl_global_init", &curl.global_init) || !find(library, "curl_version", &curl.version) ||
        !find(library, "curl_easy_init", &curl.easy_init) || !find(library, "curl_easy_cleanup", &curl.easy_cleanup) ||
        !find(library, "curl_easy_setopt", &curl.easy_setopt) ||
        !find(library, "curl_easy_getinfo", &curl.easy_getinfo) ||
        !find(library, "curl_easy_perform", &curl.easy_perform) ||
        !find(library, "curl_easy_strerror", &curl.easy_strerror) ||
        !find(library, "curl_slist_append", &curl.slist_append) ||
        !find(library, "curl_slist_free_all", &curl.slist_free_all) || !find(library, "curl_url", &curl.url) ||
        !find(library, "curl_url_cleanup", &curl.url_cleanup) || !find(library, "curl_url_set", &curl.url_set) ||
        !find(library, "curl_url_get", &curl.url_get) || !find(library, "curl_free", &curl.free) ||
        !find(library, "curl_multi_init", &curl.multi_init) ||
        !find(library, "curl_multi_cleanup", &curl.multi_cleanup) ||
        !find(library, "curl_multi_setopt", &curl.multi_setopt) ||
        !find(library, "curl_multi_add_handle", &curl.multi_add_handle) ||
        !find(library, "curl_multi_remove_handle", &curl.multi_remove_handle) ||
        !find(library, "curl_multi_perform", &curl.multi_perform) ||
        !find(library, "curl_multi_wait", &curl.multi_wait) ||
        !find(library, "curl_multi_info_read", &curl.multi_info_read)) {
        return;
    }
    const long everything = 3;  // CURL_GLOBAL_ALL: TLS and sockets
    if (curl.global_init(everything) != 0) {
        snprintf(load_error, sizeof load_error, "libcurl could not be initialised");
        return;
    }
    is_loaded = true;
}

bool ccurl_load(void) {
    pthread_once(&once, load);
    return is_loaded;
}

const char *ccurl_load_error(void) { return load_error[0] ? load_error : NULL; }
const char *ccurl_version(void) { return curl.version(); }

void *ccurl_easy_create(void) { return curl.easy_init(); }
void ccurl_easy_free(void *easy) { curl.easy_cleanup(easy); }

int ccurl_set_long(void *easy, int option, long value) { return curl.easy_setopt(easy, option, value); }
int ccurl_set_offset(void *easy, int option, int64_t value) { return curl.easy_setopt(easy, option, value); }
int ccurl_set_pointer(void *easy, int option, const void *value) { return curl.easy_setopt(easy, option, value); }

int ccurl_set_write_function(void *easy, int option, ccurl_write_function function) {
    return curl.easy_setopt(easy, option, function);
}

int ccurl_set_progress_function(void *easy, ccurl_progress_function function) {
    return curl.easy_setopt(easy, CCURL_OPTION_PROGRESS_FUNCTION, function);
}

int ccurl_perform(void *easy) { return curl.easy_perform(easy); }

long ccurl_info_long(void *easy, int info) {
    long value = 0;
    return curl.easy_getinfo(easy, info, &value) == CCURL_OK ? value : 0;
}

const char *ccurl_info_string(void *easy, int info) {
    char *value = NULL;
    return curl.easy_getinfo(easy, info, &value) == CCURL_OK ? value : NULL;
}

const char *ccurl_error_text(int code) { return curl.easy_strerror(code); }

void *ccurl_multi_create(long connection_count) {
    void *multi = curl.multi_init();
    if (multi != NULL) curl.multi_setopt(multi, MULTI_OPTION_CONNECTION_COUNT, connection_count);
    return multi;
}

void ccurl_multi_free(void *multi) { curl.multi_cleanup(multi); }
bool ccurl_multi_add(void *multi, void *easy) { return curl.multi_add_handle(multi, easy) == 0; }
bool ccurl_multi_remove(void *multi, void *easy) { return curl.multi_remove_handle(multi, easy) == 0; }

bool ccurl_multi_perform(void *multi) {
    int running = 0;
    return curl.multi_perform(multi, &running) == 0;
}

bool ccurl_multi_wait(void *multi, int milliseconds) {
    int ready = 0;
    return curl.multi_wait(multi, NULL, 0, milliseconds, &ready) == 0;
}

void *ccurl_multi_next_ended(void *multi, int *code) {
    int left = 0;
    const struct message *message;
    while ((message = curl.multi_info_read(multi, &left)) != NULL) {
        if (message->what == MESSAGE_DONE) {
            *code = message->data.code;
            return message->easy;
        }
    }
    return NULL;
}

void *ccurl_list_append(void *list, const char *text) { return curl.slist_append(list, text); }
void ccurl_list_free(void *list) { curl.slist_free_all(list); }

char *ccurl_url_part(const char *url, int part) {
    const int whole_url = 0;             // CURLUPART_URL
    const unsigned default_port = 1;     // CURLU_DEFAULT_PORT
    void *parsed = curl.url();
    char *text = NULL;
    if (parsed != NULL) {
        if (curl.url_set(parsed, whole_url, url, 0) != 0 || curl.url_get(parsed, part, &text, default_port) != 0) {
            text = NULL;
        }
        curl.url_cleanup(parsed);
    }
    return text;
}

void ccurl_text_free(char *text) { curl.free(text); }

#if __has_include(<curl/curl.h>)
#include <curl/curl.h>

#define SAME(ours, theirs) _Static_assert((int)(ours) == (int)(theirs), #ours " differs from " #theirs)
SAME(CCURL_OPTION_URL, CURLOPT_URL);
SAME(CCURL_OPTION_ERROR_BUFFER, CURLOPT_ERRORBUFFER);
SAME(CCURL_OPTION_WRITE_FUNCTION, CURLOPT_WRITEFUNCTION);
SAME(CCURL_OPTION_WRITE_DATA, CURLOPT_WRITEDATA);
SAME(CCURL_OPTION_HEADER_FUNCTION, CURLOPT_HEADERFUNCTION);
SAME(CCURL_OPTION_HEADER_DATA, CURLOPT_HEADERDATA);
SAME(CCURL_OPTION_PROGRESS_FUNCTION, CURLOPT_XFERINFOFUNCTION);
SAME(CCURL_OPTION_PROGRESS_DATA, CURLOPT_XFERINFODATA);
SAME(CCURL_OPTION_NO_PROGRESS, CURLOPT_NOPROGRESS);
SAME(CCURL_OPTION_HTTP_HEADER, CURLOPT_HTTPHEADER);
SAME(CCURL_OPTION_POST_FIELDS, CURLOPT_POSTFIELDS);
SAME(CCURL_OPTION_POST_FIELD_SIZE, CURLOPT_POSTFIELDSIZE_LARGE);
SAME(CCURL_OPTION_CUSTOM_REQUEST, CURLOPT_CUSTOMREQUEST);
SAME(CCURL_OPTION_USER_AGENT, CURLOPT_USERAGENT);
SAME(CCURL_OPTION_FOLLOW_LOCATION, CURLOPT_FOLLOWLOCATION);
SAME(CCURL_OPTION_NO_SIGNAL, CURLOPT_NOSIGNAL);
SAME(CCURL_OPTION_CONNECT_TIMEOUT_MS, CURLOPT_CONNECTTIMEOUT_MS);
SAME(CCURL_OPTION_LOW_SPEED_LIMIT, CURLOPT_LOW_SPEED_LIMIT);
SAME(CCURL_OPTION_LOW_SPEED_TIME, CURLOPT_LOW_SPEED_TIME);
SAME(CCURL_OPTION_PROTOCOLS, 181);  // CURLOPT_PROTOCOLS; its name is deprecated, the number stays
SAME(CCURL_OPTION_CA_FILE, CURLOPT_CAINFO);
SAME(CCURL_OPTION_BUFFER_SIZE, CURLOPT_BUFFERSIZE);
SAME(CCURL_OPTION_TIMEOUT_MS, CURLOPT_TIMEOUT_MS);
SAME(CCURL_OPTION_HTTP_VERSION, CURLOPT_HTTP_VERSION);
SAME(CCURL_OPTION_NO_PROXY, CURLOPT_NOPROXY);
SAME(CCURL_HTTP_VERSION_1_1, CURL_HTTP_VERSION_1_1);
SAME(MESSAGE_DONE, CURLMSG_DONE);
SAME(MULTI_OPTION_CONNECTION_COUNT, CURLMOPT_MAXCONNECTS);
SAME(sizeof(struct message), sizeof(CURLMsg));
SAME(offsetof(struct message, easy), offsetof(CURLMsg, easy_handle));
SAME(offsetof(struct message, data), offsetof(CURLMsg, data));
SAME(CCURL_PROTOCOL_HTTP, CURLPROTO_HTTP);
SAME(CCURL_PROTOCOL_HTTPS, CURLPROTO_HTTPS);
SAME(CCURL_INFO_RESPONSE_CODE, CURLINFO_RESPONSE_CODE);
SAME(CCURL_INFO_REDIRECT_URL, CURLINFO_REDIRECT_URL);
SAME(CCURL_UNSUPPORTED_PROTOCOL, CURLE_UNSUPPORTED_PROTOCOL);
SAME(CCURL_BAD_URL, CURLE_URL_MALFORMAT);
SAME(CCURL_PROXY_NOT_FOUND, CURLE_COULDNT_RESOLVE_PROXY);
SAME(CCURL_HOST_NOT_FOUND, CURLE_COULDNT_RESOLVE_HOST);
SAME(CCURL_CANNOT_CONNECT, CURLE_COULDNT_CONNECT);
SAME(CCURL_BODY_CUT_SHORT, CURLE_PARTIAL_FILE);
SAME(CCURL_WRITE_FAILED, CURLE_WRITE_ERROR);
SAME(CCURL_TIMED_OUT, CURLE_OPERATION_TIMEDOUT);
SAME(CCURL_TLS_HANDSHAKE_FAILED, CURLE_SSL_CONNECT_ERROR);
SAME(CCURL_ABORTED_BY_CALLBACK, CURLE_ABORTED_BY_CALLBACK);
SAME(CCURL_EMPTY_ANSWER, CURLE_GOT_NOTHING);
SAME(CCURL_SEND_FAILED, CURLE_SEND_ERROR);
SAME(CCURL_RECEIVE_FAILED, CURLE_RECV_ERROR);
SAME(CCURL_CERTIFICATE_REFUSED, CURLE_PEER_FAILED_VERIFICATION);
SAME(CCURL_CA_FILE_UNREADABLE, CURLE_SSL_CACERT_BADFILE);
SAME(CCURL_HTTP2_STREAM_FAILED, CURLE_HTTP2_STREAM);
SAME(CCURL_URL_SCHEME, CURLUPART_SCHEME);
SAME(CCURL_URL_HOST, CURLUPART_HOST);
SAME(CCURL_URL_PORT, CURLUPART_PORT);
#endif
