// Calls of a client's callbacks. A C++ exception must not unwind Rust's frames: what can be caught becomes an error of
// the call, and a callback that ends its thread ends the process with a line that says so.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cxxabi.h>
#include <exception>
#include <pthread.h>

#include "rkllm.h"

namespace {

using Result = int (*)(RKLLMResult *, void *, LLMCallState);
using Tokenizer = LLMTokenizerCallback;
using Embed = LLMGetEmbedCallback;

// Runs `call`; its exception's text goes to `thrown`, which stays empty otherwise.
template <typename Call> int guarded(char *thrown, size_t room, Call call) {
    *thrown = '\0';
    try {
        return call();
    } catch (const abi::__forced_unwind &) {
        std::fputs("E rkllm: a callback ended its thread (pthread_exit), which the runtime does not survive\n", stderr);
        std::abort();
    } catch (const std::exception &exception) {
        std::snprintf(thrown, room, "%s", exception.what());
    } catch (...) {
    }
    if (*thrown == '\0') {
        std::snprintf(thrown, room, "an exception without a text");
    }
    return -1;
}

} // namespace

extern "C" {

int rkllmrt_call_result(
    Result callback, RKLLMResult *result, void *userdata, LLMCallState state, char *thrown, size_t room) {
    return guarded(thrown, room, [&] { return callback(result, userdata, state); });
}

int rkllmrt_call_tokenizer(Tokenizer callback,
                           void *userdata,
                           const char *text,
                           int32_t length,
                           int32_t *tokens,
                           int32_t most,
                           char *thrown,
                           size_t room) {
    return guarded(thrown, room, [&] { return callback(userdata, text, length, tokens, most); });
}

int rkllmrt_call_embed(Embed callback,
                       void *userdata,
                       int32_t *tokens,
                       uint64_t count,
                       void *rows,
                       uint64_t bytes,
                       char *thrown,
                       size_t room) {
    return guarded(thrown, room, [&] { return callback(userdata, tokens, count, rows, bytes); });
}

// Holds back a cancellation of this thread, whose unwinding Rust's frames do not survive. Returns what
// `rkllmrt_allow_cancel` takes at the call's end.
int rkllmrt_hold_cancel() {
    int before = PTHREAD_CANCEL_ENABLE;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    return before;
}

void rkllmrt_allow_cancel(int before) {
    int held = 0;
    pthread_setcancelstate(before, &held);
}
}
