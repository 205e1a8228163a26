#define _GNU_SOURCE

#include "CReadline.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef char **(*completion_function)(const char *, int, int);
typedef char *(*entry_function)(const char *, int);

// readline's functions and variables, by its own names without rl_ (readline.h of 8.x; the ABI of libreadline.so.8).
static struct {
    void (*callback_handler_install)(const char *, creadline_line_handler);
    void (*callback_read_char)(void);
    void (*callback_handler_remove)(void);
    void (*callback_sigcleanup)(void);
    int (*insert_text)(const char *);
    void (*replace_line)(const char *, int);
    void (*redisplay)(void);
    int (*forced_update_display)(void);
    void (*resize_terminal)(void);
    void (*prep_terminal)(int);
    void (*deprep_terminal)(void);
    int (*crlf)(void);
    int (*parse_and_bind)(char *);
    int (*on_new_line)(void);
    void (*free_line_state)(void);
    char **(*completion_matches)(const char *, entry_function);
    void (*add_history)(const char *);
    void (*clear_history)(void);

    const char **readline_name;
    const char **completer_word_break_characters;
    completion_function *attempted_completion_function;
    int *attempted_completion_over;
    int *completion_append_character;
    int *catch_signals;
    int *catch_sigwinch;
    int *change_environment;
    char **line_buffer;
    int *end;
    int *point;
    FILE **instream;
    FILE **outstream;
} rl;

static char load_error[256];
static bool is_loaded = false;

static creadline_completer completer = NULL;
static void *completer_context = NULL;
static char **candidates = NULL;

static bool find(void *library, const char *name, void *place) {
    void *symbol = dlsym(library, name);
    if (symbol == NULL) {
        snprintf(load_error, sizeof load_error, "libreadline lacks %s (version 8 is needed)", name);
        return false;
    }
    *(void **)place = symbol;
    return true;
}

// readline asks for one candidate after another; it frees each.
static char *next_candidate(const char *text, int state) {
    static size_t position = 0;
    (void)text;
    if (state == 0) position = 0;
    return candidates != NULL && candidates[position] != NULL ? candidates[position++] : NULL;
}

static char **complete(const char *text, int start, int end) {
    *rl.attempted_completion_over = 1;  // no file names in place of no candidates
    if (completer == NULL) return NULL;
    candidates = completer(completer_context, *rl.line_buffer, start, end);
    if (candidates == NULL) return NULL;
    // "/" goes on: no space after a folder.
    size_t count = 0;
    while (candidates[count] != NULL) count++;
    if (count == 1 && candidates[0][0] != '\0' && candidates[0][strlen(candidates[0]) - 1] == '/') {
        *rl.completion_append_character = '\0';
    }
    char **matches = rl.completion_matches(text, next_candidate);
    free(candidates);
    candidates = NULL;
    return matches;
}

static bool find_all(void *library) {
    return find(library, "rl_callback_handler_install", &rl.callback_handler_install) &&
           find(library, "rl_callback_read_char", &rl.callback_read_char) &&
           find(library, "rl_callback_handler_remove", &rl.callback_handler_remove) &&
           find(library, "rl_callback_sigcleanup", &rl.callback_sigcleanup) &&
           find(library, "rl_insert_text", &rl.insert_text) && find(library, "rl_replace_line", &rl.replace_line) &&
           find(library, "rl_redisplay", &rl.redisplay) &&
           find(library, "rl_forced_update_display", &rl.forced_update_display) &&
           find(library, "rl_resize_terminal", &rl.resize_terminal) &&
           find(library, "rl_prep_terminal", &rl.prep_terminal) &&
           find(library, "rl_deprep_terminal", &rl.deprep_terminal) && find(library, "rl_crlf", &rl.crlf) &&
           find(library, "rl_parse_and_bind", &rl.parse_and_bind) &&
           find(library, "rl_on_new_line", &rl.on_new_line) &&
           find(library, "rl_free_line_state", &rl.free_line_state) &&
           find(library, "rl_completion_matches", &rl.completion_matches) &&
           find(library, "add_history", &rl.add_history) && find(library, "clear_history", &rl.clear_history) &&
           find(library, "rl_readline_name", &rl.readline_name) &&
           find(library, "rl_completer_word_break_characters", &rl.completer_word_break_characters) &&
           find(library, "rl_attempted_completion_function", &rl.attempted_completion_function) &&
           find(library, "rl_attempted_completion_over", &rl.attempted_completion_over) &&
           find(library, "rl_completion_append_character", &rl.completion_append_character) &&
           find(library, "rl_catch_signals", &rl.catch_signals) &&
           find(library, "rl_catch_sigwinch", &rl.catch_sigwinch) &&
           find(library, "rl_change_environment", &rl.change_environment) &&
           find(library, "rl_line_buffer", &rl.line_buffer) && find(library, "rl_end", &rl.end) &&
           find(library, "rl_point", &rl.point) && find(library, "rl_instream", &rl.instream) &&
           find(library, "rl_outstream", &rl.outstream);
}

bool creadline_load(const char *name) {
    if (is_loaded) return true;
    void *library = dlopen("libreadline.so.8", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        snprintf(load_error, sizeof load_error, "libreadline.so.8 is not installed");
        return false;
    }
    if (!find_all(library)) return false;
    *rl.readline_name = strdup(name);
    *rl.completer_word_break_characters = " \t\n";
    *rl.attempted_completion_function = complete;
    *rl.catch_signals = 0;
    *rl.catch_sigwinch = 0;
    *rl.change_environment = 0;  // LINES and COLUMNS would go to an editor started from here
    // Alt-Enter puts a newline into the line; ~/.inputrc, which is read later, may say otherwise.
    char binding[] = "\"\\e\\C-m\": \"\\C-v\\C-j\"";
    rl.parse_and_bind(binding);
    is_loaded = true;
    return true;
}

const char *creadline_load_error(void) { return load_error[0] ? load_error : NULL; }

void creadline_set_completer(creadline_completer function, void *context) {
    completer = function;
    completer_context = context;
}

static creadline_line_handler line_handler = NULL;

// Removed at once: else readline shows the prompt again, while the answer is on its way.
static void on_line(char *line) {
    rl.callback_handler_remove();
    line_handler(line);
}

void creadline_begin(const char *prompt, const char *initial_text, creadline_line_handler handler) {
    line_handler = handler;
    rl.callback_handler_install(prompt, on_line);
    if (initial_text != NULL && initial_text[0] != '\0') {
        rl.insert_text(initial_text);
        rl.redisplay();
    }
}

void creadline_read_characters(void) { rl.callback_read_char(); }
void creadline_end(void) { rl.callback_handler_remove(); }
bool creadline_is_line_empty(void) { return *rl.end == 0; }

void creadline_discard_line(void) {
    rl.callback_sigcleanup();
    rl.free_line_state();
    *rl.point = *rl.end;
    rl.redisplay();
    rl.replace_line("", 1);
    *rl.point = *rl.end = 0;
    rl.crlf();
}

void creadline_redisplay(void) {
    rl.on_new_line();
    rl.redisplay();
}

void creadline_resize(void) { rl.resize_terminal(); }
void creadline_release_terminal(void) { rl.deprep_terminal(); }

void creadline_take_terminal(void) {
    rl.prep_terminal(1);
    rl.forced_update_display();
}


bool creadline_use(int input, int output) {
    static bool is_set = false;
    if (is_set) return true;
    int copies[2] = {fcntl(input, F_DUPFD_CLOEXEC, 3), fcntl(output, F_DUPFD_CLOEXEC, 3)};
    FILE *in = copies[0] >= 0 ? fdopen(copies[0], "r") : NULL;
    FILE *out = copies[1] >= 0 ? fdopen(copies[1], "w") : NULL;
    if (in == NULL || out == NULL) return false;
    *rl.instream = in;
    *rl.outstream = out;
    is_set = true;
    return true;
}

void creadline_add_history(const char *line) { rl.add_history(line); }
void creadline_clear_history(void) { rl.clear_history(); }
