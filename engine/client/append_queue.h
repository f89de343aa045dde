// Appends: gathers entries into batches, sends them in order, and finds out what became of each.
//
// append_queue.cc gathers and sends, append_results.cc takes answers, losses and time-outs,
// append_silence.cc goes on without the answers of a node that stands still.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/client/client.h"
#include "engine/client/lane.h"
#include "engine/client/outbox.h"
#include "engine/client/request_table.h"
#include "engine/client/router.h"

namespace sluice::client {

class AppendQueue {
 public:
  /// Connections that have got something to send are added to `to_pump`.
  AppendQueue(const Options& options, io::Io& io, Router& router, Outbox& outbox,
              std::vector<Connection*>& to_pump);

  void append(std::uint64_t tag, const AppendOptions& options, std::span<const std::byte> data);
  /// Lets go what was appended since the last call.
  void flush();
  /// Tries again to find a way for what had none.
  void retry_waiting();
  /// Adds the next batches to what a connection is about to send.
  void fill(Connection& connection, SendBuffer& out);
  void on_send_over(Connection& connection);
  /// False: the answer makes no sense.
  [[nodiscard]] bool on_reply(Connection& connection, const wire::ClientAppendReply& reply);
  void on_lost(Connection& connection);
  /// Reports what has timed out; adds connections that seem dead to `suspects`.
  void expire(std::uint64_t now_ns, std::vector<Connection*>& suspects);
  /// Ends everything.
  void close();

  [[nodiscard]] std::uint64_t unreported() const { return unreported_; }
  [[nodiscard]] std::uint64_t cost_bytes() const { return cost_bytes_; }

 private:
  using Places = IntrusiveList<Lane, &Lane::place>;

  /// What the queue knows of a connection.
  struct Port : PortLoad {
    Places lanes;                       // that have something for it
    std::vector<AppendBatch*> sending;  // whose bytes the send under way reads
  };

  /// What a result means for an entry.
  enum class Verdict : std::uint8_t {
    kDone,          // in the log, at the index that was named
    kFinal,         // not in the log, and not to be sent again
    kFinalUnknown,  // perhaps in the log, and not to be sent again
    kAgain,         // not in the log; to be sent again
    kAgainUnknown,  // perhaps in the log; to be sent again, which is safe with a producer
  };

  // Gathering.
  Lane& lane_of(const LaneKey& key);
  [[nodiscard]] Lane** plain_lane(const LaneKey& key);
  void forget_idle_lanes(std::uint64_t now_ns);
  AppendBatch& open_batch(Lane& lane, Sequence first, AppendBatch* before, std::size_t hint_bytes);
  [[nodiscard]] bool add(Lane& lane, AppendBatch& batch, std::span<const std::byte> data,
                         const PendingEntry& entry);
  [[nodiscard]] BatchSplit::Place place_of(const Lane& lane) const;
  [[nodiscard]] bool full(const Lane& lane, const AppendBatch& batch) const;
  void gather(Lane& lane, Sequence sequence, std::span<const std::byte> data,
              const PendingEntry& entry);
  [[nodiscard]] Errc obstacle(const AppendOptions& options, std::size_t data_bytes) const;
  void refuse_at_once(std::uint64_t tag, const AppendOptions& options, Errc code);
  [[nodiscard]] bool is_behind_gap(Lane& lane, Sequence sequence) const;

  // Sending.
  Port& port_of(const Connection& connection);
  void dispatch(Lane& lane);
  void queue(Lane& lane, Port& port);
  void unplace(Lane& lane);
  void want_pump(Connection& connection);
  [[nodiscard]] bool may_send(const Lane& lane) const;
  [[nodiscard]] bool may_grow(const Lane& lane, const AppendBatch& batch) const;
  [[nodiscard]] bool answers_late(const Lane& lane) const;
  AppendBatch* next_to_send(Lane& lane);
  void absorb_rest(Lane& lane, AppendBatch& batch);
  void rebuild(Lane& lane, AppendBatch& batch);
  void launch(Lane& lane, AppendBatch& batch, Connection& connection);
  void refuse_unsent(Lane& lane, Errc code);

  // Answers.
  [[nodiscard]] bool on_result(Connection& connection, const wire::AppendResult& result);
  [[nodiscard]] Verdict judge(const Lane& lane, const AppendBatch& batch, std::size_t entry,
                              Errc code) const;
  void settle(Lane& lane, AppendBatch& batch, std::size_t entry, Verdict verdict,
              const AppendOutcome& outcome);
  void plan_retry(Lane& lane, Connection& connection, Errc code, NodeId hint);
  void on_late_result(AppendBatch& batch, const wire::AppendResult& result);
  void land(AppendBatch& batch);
  void land_unanswered(Lane& lane);
  void end_transmission(AppendBatch& batch);
  void drain(Lane& lane);
  void rewind(Lane& lane);
  void stop_draining(Lane& lane);
  void leave_behind(Lane& lane);
  void leave_silent(Lane& lane, std::uint64_t now_ns);
  void report(Lane& lane, AppendBatch& batch, PendingEntry& entry, AppendOutcome outcome);
  void resolve(AppendBatch& batch, PendingEntry& entry);
  void expire_lane(Lane& lane, std::uint64_t now_ns, std::vector<Connection*>& suspects);
  bool expire_batch(Lane& lane, AppendBatch& batch, std::uint64_t now_ns,
                    std::optional<Sequence>& refused, std::vector<Connection*>& suspects);
  void forgo(Lane& lane, Sequence missing);
  void note_missing(Lane& lane, Sequence missing);
  void refuse_followers(Lane& lane, Sequence missing);
  void tidy(Lane& lane);
  void drop(AppendBatch& batch);
  void recycle_unread(AppendBatch& batch);

  const std::uint64_t inflight_bytes_max_;
  io::Io& io_;
  Router& router_;
  Outbox& outbox_;
  std::vector<Connection*>& to_pump_;

  BatchPool batches_;
  RequestTable<AppendBatch, 0> transmissions_;
  std::unordered_map<LaneKey, std::unique_ptr<Lane>, LaneKeyHash> lanes_;
  std::vector<std::unique_ptr<Lane>> left_behind_;
  Lane* last_lane_ = nullptr;  // of the last append()
  std::vector<Lane*> plain_lanes_;  // by group: without producer or node, what most append to
  Places fresh_;               // appended to since the last flush()
  Places waiting_;             // for a route, or for retry_at_ns
  IntrusiveList<Lane, &Lane::active> active_;
  std::vector<std::unique_ptr<Port>> ports_;  // by connection number
  std::vector<wire::AppendItem> items_;       // of the frame that is being built
  std::uint64_t unreported_ = 0;
  std::uint64_t cost_bytes_ = 0;
  std::uint64_t next_sweep_ns_ = 0;
  bool closed_ = false;
};

}  // namespace sluice::client
