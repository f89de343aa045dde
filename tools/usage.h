// What the kernel counts of processors' time (proc(5)), and the clock to hold against it.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace sluice::tools {

/// User and system time of all threads of a process, io_uring's workers in the kernel among them.
/// Counted in ticks of 10 ms. 0 if there is no such process.
[[nodiscard]] std::uint64_t process_cpu_ns(pid_t pid);

/// Time that all processors together were not idle: this has the kernel's own threads too, and all
/// else that runs on the machine.
[[nodiscard]] std::uint64_t machine_busy_ns();

/// CLOCK_MONOTONIC, as Io::now_ns() but read now.
[[nodiscard]] std::uint64_t monotonic_ns();

}  // namespace sluice::tools
