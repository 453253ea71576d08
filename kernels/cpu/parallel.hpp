// Rows of a picture shared out among threads.
#pragma once

#include <cstdint>
#include <thread>
#include <vector>

namespace mien {

// Calls work(first, last) on bands that cover 0..rows, one band a thread; the caller's thread
// takes the last. Threads live for one call: starting one costs some 20 us here, and there is
// no pool whose threads could be missing after a fork. Bands hold at least min_rows rows.
template <typename Work>
void for_bands(int32_t rows, int threads, int32_t min_rows, const Work& work) {
    int32_t bands = threads < 1 ? 1 : threads;
    if (bands > rows / min_rows) bands = rows / min_rows;
    if (bands <= 1) {
        work(int32_t{0}, rows);
        return;
    }
    std::vector<std::thread> helpers;
    helpers.reserve(static_cast<std::size_t>(bands - 1));
    const auto edge = [&](int32_t band) {
        return static_cast<int32_t>(static_cast<int64_t>(rows) * band / bands);
    };
    int32_t started = 0;
    try {
        for (; started < bands - 1; ++started) {
            helpers.emplace_back(
                [&work, first = edge(started), last = edge(started + 1)] { work(first, last); });
        }
    } catch (...) {
        // No thread to be had: the caller does the rest.
    }
    work(edge(started), rows);
    for (auto& helper : helpers) helper.join();
}

}  // namespace mien
