// Everything but appends: reads, status, trims. They change nothing, or nothing twice, so that they
// may be sent again until their time-out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/client/client.h"
#include "engine/client/intrusive_list.h"
#include "engine/client/request_table.h"
#include "engine/client/router.h"

namespace sluice::client {

/// One status() call: a question to each shard of a node.
struct StatusJob {
  std::uint64_t tag = 0;
  std::uint64_t began_ns = 0;
  std::size_t address = 0;  // kAnyAddress: that of `node`, once it is known
  NodeId node;
  bool split = false;            // a question to each shard was made
  std::uint32_t parts_open = 0;  // questions without an answer
  NodeStatus status;
};
inline constexpr std::size_t kAnyAddress = ~std::size_t{0};

struct Request {
  enum class Kind : std::uint8_t { kRead, kStatusPart, kTrim };

  Link<Request> link;  // waiting, ready or in flight
  Kind kind = Kind::kRead;
  std::uint64_t tag = 0;
  std::uint64_t deadline_ns = 0;
  std::uint64_t retry_at_ns = 0;
  GroupRoute* group = nullptr;  // kRead, kTrim
  ReadOptions read;             // kRead
  Index first;                  // kTrim
  StatusJob* job = nullptr;     // kStatusPart
  ShardId shard;                // kStatusPart
  Connection* connection = nullptr;
  std::uint64_t id = 0;            // while in flight
  std::uint64_t sent_ns = 0;       // while in flight
  std::uint64_t waits_ns = 0;      // while in flight: so long the node may wait before it answers
  std::uint32_t attempt = 0;       // kRead: how many nodes were asked in vain
  std::uint32_t asked = 0;         // how often it was asked again at once
  Errc code = Errc::kUnreachable;  // how it ends if nothing better happens
};

class Requests {
 public:
  Requests(io::Io& io, Router& router, Events& events, std::vector<Connection*>& to_pump);

  void read(std::uint64_t tag, const ReadOptions& options);
  /// `address` may be kAnyAddress: that of `node`.
  void status(std::uint64_t tag, NodeId node, std::size_t address, std::uint32_t timeout_ms);
  void trim(std::uint64_t tag, GroupId group, Index first, std::uint32_t timeout_ms);

  void retry_waiting();
  void fill(Connection& connection, SendBuffer& out);
  /// False: the answer makes no sense. May call the caller's on_read().
  [[nodiscard]] bool on_frame(Connection& connection, const FrameView& frame);
  void on_lost(Connection& connection);
  void expire(std::uint64_t now_ns, std::vector<Connection*>& suspects);
  void close();

  /// Hands out what ended without a frame.
  void deliver();
  [[nodiscard]] bool nothing_to_deliver() const { return ended_.empty(); }
  [[nodiscard]] std::size_t open() const { return calls_open_; }

 private:
  using List = IntrusiveList<Request, &Request::link>;

  /// An outcome that waits for deliver(). Those of reads that succeed never do.
  struct Ended {
    Request::Kind kind;
    std::uint64_t tag;
    Errc code;
    Index first_index;               // kTrim
    std::unique_ptr<StatusJob> job;  // kStatusPart
  };

  Request& begin(Request::Kind kind, std::uint64_t tag, std::uint32_t timeout_ms);
  void dispatch(Request& request);
  [[nodiscard]] Route route(Request& request);
  [[nodiscard]] Route route_status(Request& request);
  void split_status(const Request& first);
  void encode(Request& request, SendBuffer& out);
  void ask_again(Request& request, std::uint64_t pause_ns);
  void leave_silent(std::uint64_t now_ns);
  [[nodiscard]] bool is_in_vain(const Request& request, std::uint64_t now_ns) const;
  void take_out(Request& request);
  void end(Request& request, Errc code);
  void end_job(StatusJob& job, Errc code);
  void deliver_status(StatusJob& job, Errc code);

  [[nodiscard]] Request* find(const Connection& connection, std::uint64_t id,
                              Request::Kind kind) const;
  bool on_read_reply(Connection& connection, const FrameView& frame);
  bool on_status_reply(Connection& connection, const FrameView& frame);
  bool on_trim_reply(Connection& connection, const FrameView& frame);
  [[nodiscard]] bool collect_entries(const ReadOptions& read, std::span<const std::byte> batches,
                                     ReadOutcome& outcome) const;

  io::Io& io_;
  Router& router_;
  Events& events_;
  std::vector<Connection*>& to_pump_;

  RequestTable<Request, 1> ids_;
  std::vector<std::unique_ptr<Request>> all_;
  std::vector<Request*> free_;
  List waiting_;  // for a route
  List ready_;    // for the next send of their connection
  List inflight_;
  std::vector<std::unique_ptr<StatusJob>> jobs_;
  std::vector<Ended> ended_, handed_out_;  // both keep their memory
  std::vector<Request*> due_;  // scratch
  ReadOutcome read_outcome_;   // its vector is kept
  std::size_t calls_open_ = 0;
  bool closed_ = false;
};

}  // namespace sluice::client
