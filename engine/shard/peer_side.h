// What peers ask of this shard, on the connections that they dialled: votes and entries. And what
// they answer on ours.
//
// A follower's path of one append: the frame's batches are verified (checksums, cluster, order, the
// link to the batch before), Raft decides batch by batch what is new, the new bytes go into the
// open chunk as they came, and the answer leaves when the chunk is durable.
#pragma once

#include <flatbuffers/flatbuffers.h>

#include <cstdint>
#include <functional>
#include <string>

#include "engine/shard/groups.h"
#include "engine/shard/inbound.h"
#include "wire/frame.h"

namespace sluice::shard {

class PeerSide {
 public:
  class Events {
   public:
    virtual ~Events() = default;
    /// The entries from `from` on left the group's log.
    virtual void on_truncated(Group& group, Index from) = 0;
    virtual void on_log_damaged(const std::string& what) = 0;
  };

  PeerSide(ClusterId cluster, std::uint32_t batch_bytes_max, Groups& groups, GroupCommit& commit,
           Events& events);

  /// A PeerMessages frame with requests, from a connection that a peer dialled.
  Connection::Taken on_requests(Inbound& from, const FrameView& frame);

  /// A PeerMessages frame with answers, from a link that we dialled. False: nonsense.
  bool on_replies(NodeId from, const wire::PeerMessages& messages);

  /// Sends the answers that gathered, if the socket takes them.
  void flush(Inbound& to);

 private:
  Connection::Taken take_append(Inbound& from, const wire::AppendRequest& request,
                                std::span<const std::byte> batches);
  [[nodiscard]] bool links(const Group& group, Index prev_index, Term prev_term,
                           BatchView batch) const;

  ClusterId cluster_;
  std::uint32_t batch_bytes_max_;
  Groups& groups_;
  GroupCommit& commit_;
  Events& events_;
  flatbuffers::FlatBufferBuilder envelope_;
};

}  // namespace sluice::shard
