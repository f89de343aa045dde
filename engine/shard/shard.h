// One core of a node: its groups, its stream of segments, its sockets, its loop.
//
//   run_once()   submits what was queued, waits, runs the handlers of what completed: frames are
//                parsed, Raft steps, bytes go into the open chunk and nothing leaves yet
//   settle()     then, once for everything that completed: hard states, requests to followers,
//                answers that became due, one write of the open chunk
//
// so one write and one send per peer serve whatever arrived together. Nothing here blocks but
// run_once(), and nothing is shared with other shards but the mailbox.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/config.h"
#include "engine/io/io.h"
#include "engine/shard/client_side.h"
#include "engine/shard/groups.h"
#include "engine/shard/identity.h"
#include "engine/shard/inbound.h"
#include "engine/shard/local_side.h"
#include "engine/shard/mailbox.h"
#include "engine/shard/peer_directories.h"
#include "engine/shard/peer_link.h"
#include "engine/shard/peer_side.h"

namespace sluice::shard {

class Shard : private GroupCommit::Events,
              private PeerLink::Events,
              private PeerSide::Events,
              private ClientSide::Events,
              private Connection::Owner {
 public:
  struct Options {
    Config config;  // with `shards` resolved
    DirectoryIdentity identity;
    ShardId shard;
    std::vector<std::pair<NodeId, io::Endpoint>> peers;  // the others
    /// Shard 0 takes the connections and hands them over by their hello.
    io::Handle listener = io::Handle::kNone;
    std::function<void(ShardId, Connection::Moved)> hand_over;
    /// The node must stop; called at most once, from the shard's thread.
    std::function<void(const std::string&)> on_failure;
    /// Something that the operator should read.
    std::function<void(const std::string&)> on_notice;
  };

  /// Recovers (blocks), and writes the first chunk of a new segment, so that where the old stream
  /// ended is decided before this node says a word.
  /// Errors  one line for people.
  [[nodiscard]] static std::expected<std::unique_ptr<Shard>, std::string> open(io::Io& io,
                                                                               Options options);
  ~Shard() override;

  /// Where other threads reach it. Valid for the shard's life.
  [[nodiscard]] Mailbox& mailbox() { return *mailbox_; }
  /// To be rung beyond the shard's life.
  [[nodiscard]] std::shared_ptr<Mailbox> share_mailbox() { return mailbox_; }

  /// Runs until asked to stop, or until a failure; then everything in flight is awaited.
  void run();

  /// One round of the loop, for those who drive several shards from one thread.
  void step();
  [[nodiscard]] bool stopped() const { return stopped_; }

  // For those who check it between two steps, from its own thread.
  [[nodiscard]] const Groups& groups() const { return groups_; }
  [[nodiscard]] GroupCommit& commit() { return commit_; }
  [[nodiscard]] std::span<const std::unique_ptr<Inbound>> inbounds() const { return inbounds_; }
  [[nodiscard]] std::span<const std::unique_ptr<PeerLink>> links() const { return links_; }

 private:
  Shard(io::Io& io, Options options, const struct Recovered& recovered);

  [[nodiscard]] static segments::Options segment_options(const Options& options);
  [[nodiscard]] static CatchUpPace::Options catch_up_options(const Options& options);
  [[nodiscard]] raft::Options raft_options(GroupId group) const;
  void make_groups(struct Recovered recovered);
  [[nodiscard]] std::string write_first_chunk();
  void start();

  // The loop.
  void settle();
  void look_after(Group& group);
  void on_tick(std::int32_t result);
  void on_wake(std::int32_t result);
  void read_port_mail(const Mailbox::Mail& mail);
  void sweep_connections();
  [[nodiscard]] std::size_t send_queue_bytes_max() const;
  void cut_off_slow_readers();
  void begin_stop();
  [[nodiscard]] bool may_end() const;
  void end();

  // Connections that others dialled.
  void accept();
  void on_accepted(std::int32_t result);
  Inbound& add_inbound(io::Handle socket);
  Connection::Taken on_hello(Inbound& from, const FrameView& frame);
  [[nodiscard]] Errc judge_hello(const wire::Hello& hello, std::string& why) const;
  Connection::Taken take_peer(Inbound& from, const wire::Hello& hello);
  Connection::Taken welcome(Inbound& from);
  void reply_hello(Inbound& to, Errc code, const std::string& message);
  void replace_peer_connection(Inbound& fresh);
  [[nodiscard]] Inbound* inbound_of(NodeId peer);
  [[nodiscard]] Inbound& inbound_of(Connection& connection);
  void resume_stalled();

  // Events.
  void on_chunks_stable(ChunkSeq seq) override;
  void on_commit_failed(const std::string& why) override;
  void on_link_up(NodeId peer) override;
  void on_link_down(NodeId peer) override;
  bool on_replies(NodeId peer, const wire::PeerMessages& messages) override;
  void on_link_refused(NodeId peer, const std::string& why) override;
  void on_log_damaged(const std::string& what) override;
  void on_truncated(Group& group, Index from) override;
  Inbound* find(const ClientRef& ref) override;
  void on_local_result(const ClientRef& client, const wire::AppendResult& result) override;
  void on_window_read() override { resume_ = true; }
  Connection::Taken on_frame(Connection& connection, const FrameView& frame) override;
  void on_sent(Connection& connection) override;
  void on_closing(Connection& connection) override;
  void fail(const std::string& why);

  io::Io& io_;
  Options options_;
  std::shared_ptr<Mailbox> mailbox_;
  GroupCommit commit_;
  Groups groups_;
  PeerDirectories peer_directories_;
  PeerSide peer_side_;
  ClientSide client_side_;
  LocalSide local_side_;
  std::vector<std::unique_ptr<PeerLink>> links_;

  std::vector<std::unique_ptr<Inbound>> inbounds_;  // by slot; empty slots are free
  std::uint64_t next_generation_ = 1;
  std::size_t inbound_count_ = 0;

  io::Completion tick_{io::Completion::bind<&Shard::on_tick>(this)};
  io::Completion wake_{io::Completion::bind<&Shard::on_wake>(this)};
  io::Completion accept_{io::Completion::bind<&Shard::on_accepted>(this)};
  std::uint64_t last_tick_ns_ = 0;
  std::uint64_t tick_ns_ = 0;
  std::size_t resume_from_ = 0;  // the slot whose turn is first
  bool local_first_ = false;     // local_side_ goes before the sockets' clients
  bool resume_ = false;          // something changed that stalled connections wait for
  bool accept_due_ = false;      // accepting failed; again with the next tick
  bool stopping_ = false;
  bool stopped_ = false;
  bool failed_ = false;
  std::uint64_t stop_deadline_ns_ = 0;
};

}  // namespace sluice::shard
