// libnvrtc's functions: a host compiler makes a shared library of a kernel's source.
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "state.h"

extern char **environ;

namespace {

enum { ok = 0, invalid_program = 4, invalid_option = 5, compilation_failed = 6, internal = 11 };

struct Program {
    std::string source, name, log, code;
    std::vector<std::pair<std::string, std::string>> headers;
};

std::string emulation_folder() {
    if (const char *folder = getenv("PBCTL_SIMULATOR_INCLUDE")) return folder;
    std::string file = __FILE__;
    return file.substr(0, file.find_last_of('/')) + "/emulation";
}

void write_file(const std::string &path, const std::string &text) { std::ofstream(path, std::ios::binary) << text; }

std::string read_file(const std::string &path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

/// Runs a compiler with its complaints in a file; its status, or -1 where there is no such program.
int run(std::vector<std::string> words, const std::string &log) {
    std::vector<char *> arguments;
    for (std::string &word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    pid_t child = 0;
    int error = posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error) return -1;
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

}

extern "C" {

int nvrtcVersion(int *major, int *minor) {
    int version = static_cast<int>(simulator::setting("PBCTL_SIMULATOR_NVRTC", 13000));
    *major = version / 1000;
    *minor = version % 1000 / 10;
    return ok;
}
int nvrtcGetNumSupportedArchs(int *count) {
    *count = 2;
    return ok;
}
int nvrtcGetSupportedArchs(int *architectures) {
    architectures[0] = 80;
    architectures[1] = 90;
    return ok;
}
int nvrtcCreateProgram(
    void **program, const char *source, const char *name, int header_count, const char *const *headers,
    const char *const *header_names) {
    auto *made = new Program;
    made->source = source;
    made->name = name ? name : "default_program";
    for (int i = 0; i < header_count; i++) made->headers.emplace_back(header_names[i], headers[i]);
    *program = made;
    return ok;
}
int nvrtcDestroyProgram(void **program) {
    if (!*program) return invalid_program;
    delete static_cast<Program *>(*program);
    *program = nullptr;
    return ok;
}
int nvrtcCompileProgram(void *handle, int option_count, const char *const *options) {
    auto &program = *static_cast<Program *>(handle);
    char folder[] = "/tmp/pbctl-simulator-XXXXXX";
    if (!mkdtemp(folder)) return internal;
    std::string base = folder;
    std::vector<std::string> words = {
        "", "-x", "c++", "-std=c++17", "-O1", "-g", "-fPIC", "-shared", "-ffp-contract=off", "-w", "-fno-exceptions",
        "-DPBCTL_SIMULATED=1", "-I" + emulation_folder(), "-I" + base, "-include", "emulation.h"};
    int result = ok;
    for (int i = 0; i < option_count; i++) {
        std::string option = options[i];
        bool is_known = option.starts_with("--gpu-architecture=") || option.starts_with("--std=") ||
                        option == "--use_fast_math" || option == "-lineinfo" || option.starts_with("--ptxas-options=");
        if (option.starts_with("-D")) {
            words.push_back(option);
        } else if (!is_known) {
            program.log = "nvrtc: error: invalid value for --gpu-architecture or unrecognized option: " + option;
            result = invalid_option;
        }
    }
    std::vector<std::string> files = {base + "/" + program.name, base + "/log", base + "/code"};
    if (result == ok) {
        write_file(files[0], program.source);
        for (const auto &[name, text] : program.headers) {
            files.push_back(base + "/" + name);
            write_file(files.back(), text);
        }
        words.insert(words.end(), {"-o", files[2], files[0]});
        const char *wanted = getenv("PBCTL_SIMULATOR_CXX");
        int status = -1;
        for (const char *compiler : {wanted, "clang++", "g++"}) {
            if (!compiler || status >= 0) continue;
            words[0] = compiler;
            status = run(words, files[1]);
            // A child that could not be started may tell so by its status.
            if (status == 127) status = -1;
        }
        program.log = read_file(files[1]);
        if (status < 0) program.log += "no C++ compiler: set PBCTL_SIMULATOR_CXX";
        program.code = status == 0 ? read_file(files[2]) : "";
        result = status == 0 && !program.code.empty() ? ok : compilation_failed;
    }
    for (const std::string &file : files) unlink(file.c_str());
    rmdir(folder);
    return result;
}
int nvrtcGetProgramLogSize(void *program, size_t *bytes) {
    *bytes = static_cast<Program *>(program)->log.size() + 1;
    return ok;
}
int nvrtcGetProgramLog(void *program, char *log) {
    const std::string &text = static_cast<Program *>(program)->log;
    memcpy(log, text.c_str(), text.size() + 1);
    return ok;
}
int nvrtcGetCUBINSize(void *program, size_t *bytes) {
    *bytes = static_cast<Program *>(program)->code.size();
    return *bytes ? ok : invalid_program;
}
int nvrtcGetCUBIN(void *program, char *code) {
    const std::string &bytes = static_cast<Program *>(program)->code;
    memcpy(code, bytes.data(), bytes.size());
    return ok;
}
// What the driver would translate is for this one the same as what it would run.
int nvrtcGetPTXSize(void *program, size_t *bytes) { return nvrtcGetCUBINSize(program, bytes); }
int nvrtcGetPTX(void *program, char *code) { return nvrtcGetCUBIN(program, code); }

}
