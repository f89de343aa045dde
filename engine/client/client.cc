#include "engine/client/client.h"

#include <algorithm>
#include <utility>

#include "engine/client/append_queue.h"
#include "engine/client/connection.h"
#include "engine/client/outbox.h"
#include "engine/client/requests.h"
#include "engine/client/router.h"

namespace sluice::client {
namespace {

constexpr std::uint64_t kTickNs = 10'000'000;
constexpr std::uint32_t kBatchBytesLeast = 128;
constexpr std::uint64_t kInflightBytesLeast = 64u << 10;
constexpr std::uint32_t kBatchBytesMost = 16u << 20;  // what a cluster may allow at most

/// Ties the parts together: connections report to it, it passes on to whom it concerns, and at the
/// end of each handler lets the caller's code run.
class ClientImpl final : public Client, private Connection::Owner {
 public:
  ClientImpl(const Options& options, std::vector<io::Endpoint> endpoints, io::Io& io,
             Events& events)
      : io_(io),
        events_(events),
        router_(options, std::move(endpoints), io, *this),
        appends_(options, io, router_, outbox_, to_pump_),
        requests_(io, router_, events, to_pump_) {}

  void append(std::uint64_t tag, const AppendOptions& options,
              std::span<const std::byte> data) override {
    appends_.append(tag, options, data);
    keep_ticking();
  }

  void read(std::uint64_t tag, const ReadOptions& options) override {
    requests_.read(tag, options);
    keep_ticking();
  }

  void status(std::uint64_t tag, NodeId node, std::uint32_t timeout_ms) override {
    requests_.status(tag, node, kAnyAddress, timeout_ms);
    keep_ticking();
  }

  void status_at(std::uint64_t tag, std::size_t address, std::uint32_t timeout_ms) override {
    requests_.status(tag, kNoNode, address, timeout_ms);
    keep_ticking();
  }

  void trim(std::uint64_t tag, GroupId group, Index first, std::uint32_t timeout_ms) override {
    requests_.trim(tag, group, first, timeout_ms);
    keep_ticking();
  }

  void flush() override {
    appends_.flush();
    pump();
    deliver_soon();
  }

  std::size_t pending() const override {
    return static_cast<std::size_t>(appends_.unreported()) + outbox_.size() + requests_.open();
  }

  void close() override {
    if (closing_) return;
    closing_ = true;
    appends_.close();
    requests_.close();
    router_.stop();
    io_.cancel(tick_);
    deliver_soon();
  }

  bool closed() const override {
    return closing_ && pending() == 0 && router_.idle() && !tick_.pending() && !soon_.pending();
  }

 private:
  // Connection::Owner.

  void write_hello(Connection& connection, SendBuffer& out) override {
    router_.write_hello(connection, out);
  }

  Errc on_hello(Connection& connection, const wire::HelloReply& reply) override {
    return router_.on_hello(connection, reply);
  }

  void on_ready(Connection&) override { ways_changed_ = true; }

  bool on_frame(Connection& connection, const FrameView& frame) override {
    if (frame.kind != FrameKind::kClientAppendReply) return requests_.on_frame(connection, frame);
    const Result<const wire::ClientAppendReply*> reply =
        envelope_as<wire::ClientAppendReply>(frame);
    return reply && appends_.on_reply(connection, **reply);
  }

  void fill(Connection& connection, SendBuffer& out) override {
    requests_.fill(connection, out);
    appends_.fill(connection, out);
  }

  void on_send_over(Connection& connection) override { appends_.on_send_over(connection); }

  void on_lost(Connection& connection, Errc why) override {
    router_.on_lost(connection, why);
    appends_.on_lost(connection);
    requests_.on_lost(connection);
    ways_changed_ = true;
  }

  void on_handler_end() override {
    if (ways_changed_) {
      ways_changed_ = false;
      requests_.retry_waiting();
      appends_.retry_waiting();
    }
    // What the caller appends on an outcome goes with what waited for the answer.
    outbox_.deliver(events_);
    requests_.deliver();
    pump();
    deliver_soon();
  }

  // Time.

  void on_tick(std::int32_t) {
    if (!closing_) {
      const std::uint64_t now_ns = io_.now_ns();
      router_.check_time(now_ns);
      suspects_.clear();
      appends_.expire(now_ns, suspects_);
      requests_.expire(now_ns, suspects_);
      // A request timed out and nothing was heard meanwhile: half open, for all we know (S42).
      for (Connection* connection : suspects_) connection->lose(Errc::kConnectionLost);
      ways_changed_ = true;
    }
    on_handler_end();
    keep_ticking();
  }

  void keep_ticking() {
    deliver_soon();
    if (tick_.pending() || closing_ || pending() == 0) return;
    io_.timer(tick_, io_.now_ns() + kTickNs);
  }

  void on_soon(std::int32_t) { on_handler_end(); }

  /// Outcomes that came up outside of a handler wait for the next run_once().
  void deliver_soon() {
    if (soon_.pending() || (outbox_.empty() && requests_.nothing_to_deliver())) return;
    io_.timer(soon_, io_.now_ns());
  }

  void pump() {
    while (!to_pump_.empty()) {
      Connection* const connection = to_pump_.back();
      to_pump_.pop_back();
      connection->pump_wanted = false;
      connection->pump();
    }
  }

  io::Io& io_;
  Events& events_;
  Outbox outbox_;
  std::vector<Connection*> to_pump_;
  Router router_;
  AppendQueue appends_;
  Requests requests_;
  std::vector<Connection*> suspects_;
  bool ways_changed_ = false;  // what waits for a route may find one
  bool closing_ = false;
  io::Completion tick_{io::Completion::bind<&ClientImpl::on_tick>(this)};
  io::Completion soon_{io::Completion::bind<&ClientImpl::on_soon>(this)};
};

}  // namespace

Result<std::unique_ptr<Client>> Client::make(Options options, io::Io& io, Events& events,
                                             std::string& what) {
  if (options.nodes.empty()) {
    what = "no address of a node given";
    return fail(Errc::kInvalidRequest);
  }
  std::vector<io::Endpoint> endpoints;
  for (const std::string& address : options.nodes) {
    const Result<io::Endpoint> endpoint = io.resolve(address);
    if (!endpoint) {
      what = "cannot resolve '" + address + "': HOST:PORT is wanted";
      return fail(Errc::kInvalidRequest);
    }
    endpoints.push_back(*endpoint);
  }
  options.batch_bytes_max =
      std::clamp(options.batch_bytes_max, kBatchBytesLeast, kBatchBytesMost) & ~7u;
  options.inflight_bytes_max = std::max(options.inflight_bytes_max, kInflightBytesLeast);
  return std::unique_ptr<Client>(
      std::make_unique<ClientImpl>(options, std::move(endpoints), io, events));
}

}  // namespace sluice::client
