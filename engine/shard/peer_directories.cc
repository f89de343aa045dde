#include "engine/shard/peer_directories.h"

#include <utility>

#include "engine/shard/identity.h"
#include "wire/check.h"

namespace sluice::shard {

using segments::RecordKind;

PeerDirectories::PeerDirectories(GroupCommit& commit,
                                 const std::map<NodeId, segments::PeerState>& known,
                                 std::span<const NodeId> trusted_again)
    : commit_(commit) {
  for (const auto& [node, state] : known) {
    Peer& peer = peers_[node];
    peer.directory = state.directory;
    peer.at = state.at;
  }
  for (const NodeId node : trusted_again) peers_[node].trust_again = true;
}

PeerDirectories::Answer PeerDirectories::meet(NodeId node, DirectoryId directory) {
  Peer& peer = peers_[node];
  // Once, whatever it names: a directory that is replaced later, while this process runs, is
  // another matter, for which nobody has vouched.
  const bool trust = std::exchange(peer.trust_again, false) || !peer.directory;
  if (trust && peer.directory != directory) {
    peer.directory = directory;
    peer.write_due = true;
  }
  if (peer.directory != directory) return Answer::kOther;
  if (peer.write_due) {
    if (!write(node, peer)) return Answer::kLater;
    peer.counts_from = peer.at.seq;
  }
  return commit_.log().durable_seq() >= peer.counts_from ? Answer::kSame : Answer::kLater;
}

bool PeerDirectories::write(NodeId node, Peer& peer) {
  if (commit_.make_room(sizeof(segments::PeerRecord)) != GroupCommit::Room::kYes) return false;
  const auto at = commit_.append_peer({node, *peer.directory});
  if (peer.at.seq != ChunkSeq{}) commit_.log().release(peer.at.epoch, RecordKind::kPeer);
  peer.at = at;
  peer.write_due = false;
  return true;
}

void PeerDirectories::move_old_records() {
  const auto blocked = commit_.log().blocked_by_states();
  if (!blocked) return;
  for (auto& [node, peer] : peers_) {
    if (peer.at.seq == ChunkSeq{} || peer.at.epoch > *blocked) continue;
    // What is due takes the place of the old record by itself, as soon as the peer asks again; but
    // it may never do so.
    const bool was_due = peer.write_due;
    if (!write(node, peer)) return;
    // The same directory in another place: what was durable stays so, for the old segment goes
    // only when the new record is durable.
    if (was_due) peer.counts_from = peer.at.seq;
  }
}

std::string PeerDirectories::refusal(NodeId self, NodeId node, DirectoryId directory) const {
  const auto peer = peers_.find(node);
  SLUICE_CHECK(peer != peers_.end() && peer->second.directory);
  const std::string number = std::to_string(node.value());
  return "the data directory of node " + number + " is " + to_hex(directory) + ", but node " +
         std::to_string(self.value()) + " knows it with " + to_hex(*peer->second.directory) +
         ": what it voted for and acknowledged may be lost, so nothing that it says counts. Start "
         "it with the old directory; if that is gone, see --trust-new-directory-of in 'sluice "
         "serve --help'";
}

}  // namespace sluice::shard
