// The page, from the data within it.

const data = JSON.parse(document.getElementById("data").textContent);
const tensors = readTensors(data);

showHead(data.summary);
showNotes(data.notes);
if (tensors.length) {
  showTypes(data.summary);
  showTypeMap(tensors);
  showTreemap(tensors);
  showHistograms(tensors);
  showTable(tensors, data.statistics !== null);
}
showMetadata(data.metadata);
startTips();
