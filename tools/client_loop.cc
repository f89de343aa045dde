#include "tools/client_loop.h"

#include <fmt/format.h>
#include <time.h>

#include <cerrno>
#include <cstring>

#include "engine/io/uring_io.h"
#include "tools/errors.h"
#include "wire/check.h"

namespace sluice::tools {
namespace {

std::unique_ptr<io::Io> open_ring(std::uint64_t busy_poll_ns) {
  int error = 0;
  Result<std::unique_ptr<io::Io>> ring = io::make_uring_io({.busy_poll_ns = busy_poll_ns}, error);
  if (ring) return std::move(*ring);
  throw Failure(
      fmt::format("io_uring cannot be used ({}): it needs a Linux kernel from 6.0 and a container "
                  "that allows it",
                  std::strerror(error)));
}

}  // namespace

void ClusterOptions::declare(OptionSet& options) {
  options.list("cluster", cluster, "HOST:PORT,...",
               "every node of the cluster: only those named here are asked, and an append needs "
               "the leader among them");
  options.require("cluster");
  options.text("cluster-id", cluster_id, "NAME",
               "refuse nodes of any cluster but this one (default: the first node that answers "
               "names the cluster)");
}

void ClusterOptions::declare_timeout(OptionSet& options) {
  options.number("timeout-ms", timeout_ms, {1, 3'600'000},
                 "how long an operation may take, in milliseconds");
}

void ClusterOptions::declare_batch_bytes(OptionSet& options) {
  options.size(
      "batch-bytes-max", batch_bytes_max, {4096, 16u << 20},
      "largest batch that is sent; the cluster may allow less, and an entry must fit in one");
}

void declare_group(OptionSet& options, std::uint32_t& group) {
  options.number("group", group, {0, 65'535}, "which log; they are numbered from 0");
}

ClientLoop::ClientLoop(const ClusterOptions& options, client::Events& events)
    : events_(events),
      io_(open_ring(std::uint64_t{options.busy_poll_us} * 1'000)),
      waker_(io_->make_waker()),
      stop_([this] { waker_->wake(); }) {
  client::Options wanted;
  wanted.nodes = options.cluster;
  wanted.cluster_name = options.cluster_id;
  wanted.batch_bytes_max = options.batch_bytes_max;
  wanted.inflight_bytes_max = options.inflight_bytes_max;
  std::string what;
  Result<std::unique_ptr<client::Client>> made =
      client::Client::make(std::move(wanted), *io_, *this, what);
  if (!made) throw UsageError(fmt::format("--cluster: {}", what));
  client_ = std::move(*made);
  io_->wait_for_wake(wake_, *waker_);
}

ClientLoop::~ClientLoop() {
  closing_ = true;
  client_->close();
  while (!client_->closed()) io_->run_once();
  for (io::Completion* waiting : {&wake_, &tick_, &deadline_}) {
    io_->cancel(*waiting);
    while (waiting->pending()) io_->run_once();
  }
}

void ClientLoop::turn() {
  client_->flush();
  io_->run_once();
}

void ClientLoop::on_wake(std::int32_t) {
  if (!closing_) io_->wait_for_wake(wake_, *waker_);
}

void ClientLoop::on_tick(std::int32_t) {
  if (!closing_ && tick_ms_ != 0)
    io_->timer(tick_, io_->now_ns() + std::uint64_t{tick_ms_} * 1'000'000);
}

void ClientLoop::on_deadline(std::int32_t) {
  if (closing_ || io_->now_ns() >= deadline_ns_) {
    deadline_ns_ = kNever;
  } else {
    io_->timer(deadline_, deadline_ns_);  // an earlier one was asked for meanwhile
  }
}

void ClientLoop::set_tick_ms(std::uint32_t tick_ms) {
  tick_ms_ = tick_ms;
  if (!tick_.pending()) on_tick(0);
}

void ClientLoop::wake_at(std::uint64_t deadline_ns) {
  if (deadline_ns >= deadline_ns_) return;
  deadline_ns_ = deadline_ns;
  if (deadline_.pending()) {
    io_->cancel(deadline_);
  } else {
    io_->timer(deadline_, deadline_ns);
  }
}

}  // namespace sluice::tools
