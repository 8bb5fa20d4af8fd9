// Names in the room there is for them. Nodes of one cloud begin and end alike; what differs has to stay.

const SEPARATOR = /[-._]/;

/** How to write the names of nodes within a width, in a font: as they are, or short where one has no room. */
export function shortener(nodes, width, font) {
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = font;
  const fits = (name) => pen.measureText(name).width <= width;
  const longest = nodes.reduce((most, name) => (name.length > most.length ? name : most), "");
  const [begin, end] = fits(longest) ? [0, 0] : shared(nodes);
  return {
    node: (name) => elided(`${begin ? "…" : ""}${name.slice(begin, name.length - end)}${end ? "…" : ""}`, fits),
    other: (name) => elided(name, fits),
  };
}

/** How many characters all names begin with, and end with, up to a separator. */
function shared(names) {
  const [first] = names;
  let [begin, end] = [first.length, first.length];
  for (const name of names) {
    begin = alike(begin, (at) => name[at] === first[at]);
    end = alike(end, (at) => name[name.length - 1 - at] === first[first.length - 1 - at]);
  }
  while (begin > 0 && !SEPARATOR.test(first[begin - 1])) begin -= 1;
  while (end > 0 && !SEPARATOR.test(first[first.length - end])) end -= 1;
  const shortest = Math.min(...names.map((name) => name.length));
  return begin + end < shortest ? [begin, end] : [0, 0];
}

function alike(most, same) {
  let count = 0;
  while (count < most && same(count)) count += 1;
  return count;
}

/** A name without its middle, if there is no room for it: both ends tell more. */
function elided(name, fits) {
  let kept = name.length;
  let written = name;
  while (!fits(written) && kept > 2) {
    kept -= 1;
    written = `${name.slice(0, kept >> 1)}…${name.slice(name.length - kept + (kept >> 1))}`;
  }
  return written;
}
