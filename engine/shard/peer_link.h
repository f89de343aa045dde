// The connection that this shard dials to the same shard of another node: our requests go out on
// it, the answers come back on it. (What the peer asks of us comes on the connection that it
// dials.)
//
// Pull, not push: requests are made when the socket can take them, from what Raft says is due then.
// So a slow follower queues nothing here; it is behind, and its window says so.
#pragma once

#include <flatbuffers/flatbuffers.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/io/io.h"
#include "engine/shard/catch_up_pace.h"
#include "engine/shard/connection.h"
#include "engine/shard/groups.h"
#include "engine/shard/peer_directories.h"
#include "engine/shard/read_window.h"
#include "wire/messages_generated.h"
#include "wire/ring.h"

namespace sluice::shard {

/// What this node says of itself in every Hello.
struct Introduction {
  std::string cluster_name;
  NodeId node;
  DirectoryId directory;
  ShardId shard;
  std::uint32_t shards = 0;
  std::uint32_t groups = 0;
};

class PeerLink : private Connection::Owner, private ReadWindow::Events {
 public:
  class Events {
   public:
    virtual ~Events() = default;
    virtual void on_link_up(NodeId peer) = 0;
    virtual void on_link_down(NodeId peer) = 0;
    /// Answers of the peer. False: nonsense.
    virtual bool on_replies(NodeId peer, const wire::PeerMessages& messages) = 0;
    /// The peer belongs elsewhere, or thinks that we do. For people; the link goes on trying.
    virtual void on_link_refused(NodeId peer, const std::string& why) = 0;
    /// What the log on disk says is not what was written (S28): the node must stop.
    virtual void on_log_damaged(const std::string& what) = 0;
  };

  struct Options {
    NodeId peer;
    std::uint32_t bit = 0;  // of this link in Group::links_wanted
    io::Endpoint endpoint;
    Introduction self;
    std::uint32_t batch_bytes_max = 0;
    CatchUpPace::Options catch_up;  // what is read from disk for a follower that is behind
    std::uint64_t silence_ns_max = 0;  // a request unanswered for so long: the link is dead (S42)
  };

  PeerLink(io::Io& io, Options options, Groups& groups, GroupCommit& commit,
           PeerDirectories& directories, Events& events);
  ~PeerLink() override;

  /// Dials, redials, finds dead connections. Once per tick.
  void tick();

  /// Something may have to be sent for this group.
  void want(Group& group);
  void queue_vote_request(GroupId group, const raft::VoteRequest& request);

  /// Sends what is due, if the socket takes it.
  void pump();

  [[nodiscard]] bool up() const { return up_; }
  [[nodiscard]] NodeId peer() const { return options_.peer; }
  [[nodiscard]] Connection* connection() { return connection_.get(); }

  /// Ends for good. Run the Io until gone().
  void stop();
  [[nodiscard]] bool gone() const;

 private:
  /// What a read covered.
  struct Range {
    Epoch epoch;
    std::uint64_t begin = 0, end = 0;
  };
  enum class Gathered : std::uint8_t {
    kDone,     // nothing more is due for the group
    kMore,     // ask Raft again
    kBlocked,  // what is due is on disk; another read or send has to end first
    kFull,     // the frame is
  };

  Connection::Taken on_frame(Connection& connection, const FrameView& frame) override;
  void on_sent(Connection& connection) override;
  void on_closing(Connection& connection) override;
  void on_read(ReadWindow& window, int error) override;

  void dial();
  void on_connected(std::int32_t result);
  void say_hello();
  Connection::Taken on_hello_reply(const FrameView& frame);
  Connection::Taken refuse(const std::string& why);
  void back_off();

  void gather_requests();
  Gathered gather(Group& group);
  void add_heartbeats();
  void add_empty(Group& group, const raft::AppendPlan& plan);
  Gathered gather_batches(Group& group, const raft::AppendPlan& plan);
  /// A batch to send, where it lies.
  struct Slice {
    std::span<const std::byte> bytes;
    ChunkSeq tail_seq;             // of the tail's chunk, or
    ReadWindow* window = nullptr;  // the window that has it
  };
  /// Without bytes: it is on disk, and being read or waiting for it; or damage was found.
  [[nodiscard]] Slice slice_of(Group& group, std::size_t position);
  void read_from(Group& group, std::size_t position);
  /// A batch in the index of a group.
  struct ToRead {
    Group* group;
    std::size_t position;
    std::array<bool, 2> needed;  // of windows_: holds what a group waits for
  };
  [[nodiscard]] ToRead choose_read(Group& asking, std::size_t position);
  void on_read_due(std::int32_t result);
  [[nodiscard]] bool reading() const;
  [[nodiscard]] CatchUpPace::Load load() const;
  /// Nothing is sent from it, nor is it about to be.
  [[nodiscard]] bool is_free(const ReadWindow& window) const;
  void send_gathered();

  io::Io& io_;
  Options options_;
  Groups& groups_;
  GroupCommit& commit_;
  PeerDirectories& directories_;
  Events& events_;

  io::Completion connected_{io::Completion::bind<&PeerLink::on_connected>(this)};
  std::unique_ptr<Connection> connection_;
  bool up_ = false;
  bool stopping_ = false;
  std::uint64_t next_dial_ns_ = 0;
  std::uint64_t backoff_ns_ = 0;
  std::uint64_t unanswered_since_ns_ = 0;  // 0: nothing is
  std::uint64_t dialled_ns_ = 0;

  // Two, so that the next read goes on while the bytes of the last one leave: a follower that is behind
  // has to get its batches faster than new ones come. One read at a time: live writes want the disk, too.
  std::array<ReadWindow, 2> windows_;
  CatchUpPace pace_;
  io::Completion read_due_{io::Completion::bind<&PeerLink::on_read_due>(this)};
  Range last_read_;
  std::uint64_t reads_ = 0;
  Group* reading_for_ = nullptr;  // whose batches are being read
  Group* read_for_ = nullptr;     // whose batches were read and not looked at yet
  Group* passed_over_ = nullptr;  // wanted, not in wanted_: what it has did not fit into the last frame
  bool heartbeats_may_be_due_ = false;
  bool may_read_ = true;          // the group that is asked may have a read started

  Ring<Group*> wanted_;
  std::vector<wire::VoteRequest> vote_requests_;
  std::vector<wire::AppendRequest> append_requests_;  // of the frame being made
  std::vector<Slice> slices_;
  std::size_t frame_batch_bytes_ = 0;

  /// A frame on its way, told by the last batch in it (StageTimes::follower_ns).
  struct Probe {
    Group* group = nullptr;
    Index last_index;
    std::uint64_t queued_ns = 0;
  };
  void note_acknowledged();
  Probe frame_last_;    // of the frame being made; queued_ns is not set yet
  Ring<Probe> probes_;  // oldest first; at most kProbesMax, further frames are not timed
  flatbuffers::FlatBufferBuilder envelope_;
};

}  // namespace sluice::shard
