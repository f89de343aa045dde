// What clients ask of this shard: append, read, trim, status.
//
// A leader's path of one append: the batch's checksums are verified, a retry is recognised, Raft
// gives it its place, the header is sealed in the receive buffer, the bytes go into the open chunk
// (from which they are written and sent), and the answer leaves when the entries are committed.
//
// "Unknown" is said, never "failed", when entries left this node's log uncommitted: another node
// may hold them still, win an election and commit them (S48).
#pragma once

#include <flatbuffers/flatbuffers.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/shard/groups.h"
#include "engine/shard/inbound.h"
#include "wire/frame.h"

namespace sluice::shard {

class ClientSide : private ReadWindow::Events {
 public:
  class Events {
   public:
    virtual ~Events() = default;
    [[nodiscard]] virtual Inbound* find(const ClientRef& ref) = 0;
    /// What became of entries that a client in this process handed over.
    virtual void on_local_result(const ClientRef& client, const wire::AppendResult& result) = 0;
    virtual void on_log_damaged(const std::string& what) = 0;
    /// A read from disk ended: connections that wait may go on.
    virtual void on_window_read() = 0;
  };

  struct Options {
    NodeId node;
    ShardId shard;
    ClusterId cluster;
    std::uint32_t groups = 0;
    std::uint32_t batch_bytes_max = 0;
    std::size_t send_queue_bytes_max = 0;
    std::string fsync_policy;
  };

  ClientSide(io::Io& io, Options options, Groups& groups, GroupCommit& commit, Events& events);

  Connection::Taken on_frame(Inbound& from, const FrameView& frame);

  /// A batch of a client in this process, unsealed, as BatchBuilder left it; sealed in place. Its
  /// results, one for each part of it, come through Events, perhaps from within this call.
  /// follows: see LocalBatch.
  /// kYes or kLater: no room; nothing was done.
  [[nodiscard]] Connection::Taken append(const ClientRef& from, std::uint64_t request_id,
                                         std::span<std::byte> batch_bytes, bool follows);

  /// The group's commit index or role changed: answers who waited.
  void on_progress(Group& group);
  /// The entries from `from` on left the group's log.
  void on_truncated(Group& group, Index from);
  /// A connection is closing: its read, if any, is given up.
  void on_closing(Inbound& inbound);

  /// Sends the answers that gathered, if the socket takes them.
  void flush(Inbound& to);
  /// Reads that waited long enough are answered. Once per tick.
  void tick();
  /// No appends any more.
  void stop() { stopping_ = true; }
  [[nodiscard]] bool gone() const;

  /// A read waits because every window is taken. Until taken back by the owner, once per tick.
  bool windows_short = false;

  /// Bytes in use by connections, for status.
  std::uint64_t connections_memory_bytes = 0;

 private:
  using Taken = Connection::Taken;

  Taken on_append(Inbound& from, const FrameView& frame);
  Taken take_batch(Inbound& from, const wire::AppendItem& item, std::span<std::byte> bytes);
  Taken place(const ClientRef& from, std::uint64_t request_id, std::span<std::byte> batch_bytes,
              bool follows);
  Taken append_new(const ClientRef& from, Group& group, std::uint64_t request_id,
                   std::uint32_t offset, std::span<std::byte> batch_bytes);
  Taken append_rest(const ClientRef& from, Group& group, std::uint64_t request_id, BatchView batch,
                    std::uint32_t known);
  void collect_known(const ClientRef& from, Group& group, std::uint64_t request_id, BatchView batch,
                     std::uint32_t known);
  void answer_known(Group& group);
  void refuse(const ClientRef& from, std::uint64_t request_id, std::uint32_t offset,
              std::uint32_t count, Errc code, NodeId leader = kNoNode,
              Sequence expected = Sequence{});
  void answer(const Waiter& waiter, Errc code, NodeId leader);
  void reply(const ClientRef& to, const wire::AppendResult& result);

  Taken on_read(Inbound& from, const FrameView& frame);
  Taken serve_read(Inbound& from, Group& group, const wire::ClientRead& request);
  void give_window_back(Inbound& inbound);
  void reply_read(Inbound& to, std::uint64_t request_id, Group* group, Errc code,
                  std::uint32_t batch_bytes);
  [[nodiscard]] std::span<const std::byte> bytes_of(Group& group, ReadWindow* window,
                                                    const segments::GroupIndex::Entry& entry);
  void on_read(ReadWindow& window, int error) override;

  Taken on_trim(Inbound& from, const FrameView& frame);
  void reply_trim(Inbound& to, std::uint64_t request_id, Errc code, Index first, NodeId leader);
  Taken on_status(Inbound& from, const FrameView& frame);

  /// A read that waits for something to commit.
  struct Parked {
    ClientRef client;
    std::uint64_t request_id = 0;
    Group* group = nullptr;
    Index from;
    std::uint32_t count_max = 0, bytes_max = 0;
    std::uint64_t deadline_ns = 0;
  };
  void wake_parked(Group& group);

  io::Io& io_;
  Options options_;
  Groups& groups_;
  GroupCommit& commit_;
  Events& events_;
  bool stopping_ = false;
  std::vector<std::unique_ptr<ReadWindow>> windows_;
  std::vector<Parked> parked_;
  std::vector<Waiter> known_;           // of the retry at hand
  std::vector<std::uint64_t> scratch_;  // aligned to 8: a batch made of the rest of another
  flatbuffers::FlatBufferBuilder envelope_;
};

}  // namespace sluice::shard
